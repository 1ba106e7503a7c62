//! The examples of the reference are what they say they are.

use std::path::Path;

use outrigger_config::{Settings, apisix_yaml};

const REFERENCE: &str = include_str!("../../../docs/configuration.md");

#[test]
fn the_examples_of_the_reference_are_accepted() {
    let blocks: Vec<_> = REFERENCE
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let [config, resources] = blocks[..] else {
        panic!("two examples, not {}", blocks.len())
    };
    let path = Path::new("example.yaml");
    let settings = Settings::parse(config, path, &|_| None).unwrap();
    assert_eq!(settings.notes, [""; 0]);
    let (_, resources) = apisix_yaml::parse(resources, path, &|_| None).unwrap();
    assert_eq!((resources.routes.len(), resources.upstreams.len()), (1, 1));
}
