//! The examples of the reference are what they say they are.

use std::path::Path;

use outrigger_config::{Format, Settings, apisix_yaml};

const REFERENCE: &str = include_str!("../../../docs/configuration.md");

#[test]
fn the_examples_of_the_reference_are_accepted() {
    let blocks: Vec<_> = REFERENCE
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    // The least, what may stand beside it, and resources.
    let [config, ref more @ .., resources] = blocks[..] else {
        panic!("not {} examples", blocks.len())
    };
    let path = Path::new("example.yaml");
    for more in [&[""], more].concat() {
        let settings = Settings::parse(&format!("{config}{more}"), path, &|_| None);
        assert_eq!(settings.unwrap().notes, [""; 0], "{more}");
    }
    let (_, resources) = apisix_yaml::parse(resources, Format::Yaml, path, &|_| None).unwrap();
    assert_eq!((resources.routes.len(), resources.upstreams.len()), (1, 1));
}
