//! Rule `path`: no file names a place on somebody's machine.

use std::path::Path;

use super::Finding;

const RULE: &str = "path";

/// A folder at the root of a developer's machine.
struct Place {
    /// Its name alone, so that this file passes its own check.
    folder: &'static str,
    /// How a path into it goes on, if it is one.
    goes_on: fn(char) -> bool,
}

const PLACES: &[Place] = &[
    Place {
        folder: "work",
        goes_on: |_| true,
    },
    Place {
        folder: "farm",
        goes_on: |_| true,
    },
    // Not `/root/index.html`, which is as good a request path as any.
    Place {
        folder: "root",
        goes_on: |next| next == '.',
    },
    // Not `/home/` alone, nor `/home/<you>` or `/home/$USER`.
    Place {
        folder: "home",
        goes_on: |next| next.is_ascii_alphanumeric(),
    },
];

/// Finds the lines that name such a place.
pub(super) fn check(file: &Path, text: &str) -> Vec<Finding> {
    let lines = text.lines().enumerate();
    let found = lines.filter_map(|(index, line)| Some((index + 1, place(line)?)));
    let finding = |(line, place)| Finding {
        file: file.to_owned(),
        line,
        rule: RULE,
        message: format!(
            "`{place}` is a path of one machine: derive it from the workspace, the environment \
             or a temporary folder"
        ),
    };
    found.map(finding).collect()
}

/// The first such path in the line, up to where it stops looking like one.
fn place(line: &str) -> Option<&str> {
    line.char_indices()
        .filter(|(_, c)| *c == '/')
        .find_map(|(start, _)| {
            // In the middle of another path or of a URL it means something else.
            let is_inside = |c: char| c.is_ascii_alphanumeric() || "._-~})]>*".contains(c);
            if line[..start].ends_with(is_inside) {
                return None;
            }
            let rest = &line[start + 1..];
            let is_place = PLACES.iter().any(|Place { folder, goes_on }| {
                let next = rest
                    .strip_prefix(*folder)
                    .and_then(|rest| rest.strip_prefix('/'));
                next.is_some_and(|next| next.chars().next().is_none_or(goes_on))
            });
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"/._-".contains(c));
            is_place.then(|| &line[start..end.map_or(line.len(), |end| start + 1 + end)])
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with `~` for a slash, so that this file passes its own check.
    fn slashed(text: &str) -> String {
        text.replace('~', "/")
    }

    #[test]
    fn a_path_of_a_machine_is_found_with_its_line() {
        let text = slashed("first\nsee ~work~main~src, please\n");
        let found = check(Path::new("a.md"), &text);
        assert_eq!(found.len(), 1);
        let beginning = slashed("a.md:2: [path] `~work~main~src` is a path of one machine");
        assert!(found[0].to_string().starts_with(&beginning), "{}", found[0]);
    }

    #[test]
    fn each_kind_of_place_is_known() {
        for text in [
            "~root~.cargo~bin",
            "\"~home~ann~x\"",
            "file:~~~farm~y",
            "cd ~work~",
        ] {
            let text = slashed(text);
            assert!(place(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_only_resembles_one_passes() {
        let harmless = [
            "https:~~example.org~work~x",
            "$HOME~work~x",
            "{dir}~work~x",
            "..~work~x",
            "GET ~root~index.html",
            "~home~<you>",
            "~home~$USER",
            "~workshop~x",
        ];
        for text in harmless {
            let text = slashed(text);
            assert_eq!(place(&text), None, "{text}");
        }
    }
}
