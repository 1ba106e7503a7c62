//! How paths are seen by routes and plugins, where that is not as the client wrote them.

use std::borrow::Cow;

use super::BadPath;

/// Rules for paths that are decoded and normalised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathRules {
    /// Whether a slash at the end is left out (`apisix.delete_uri_tail_slash`); the
    /// path `/` stays.
    pub drop_tail_slash: bool,
    /// Whether parameters of segments are left out, as servlets have them: what follows
    /// a `;` (`apisix.normalize_uri_like_servlet`).
    pub drop_parameters: bool,
}

impl PathRules {
    /// What `path` is seen as.
    ///
    /// # Errors
    /// [`BadPath::Parameters`] where a servlet could understand something else.
    pub(super) fn apply(self, mut path: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, BadPath> {
        if self.drop_parameters && path.contains(&b';') {
            path = Cow::Owned(without_parameters(&path)?);
        }
        if self.drop_tail_slash && path.len() > 1 && path.ends_with(b"/") {
            path = match path {
                Cow::Borrowed(path) => Cow::Borrowed(&path[..path.len() - 1]),
                Cow::Owned(mut path) => {
                    path.pop();
                    Cow::Owned(path)
                }
            };
        }
        Ok(path)
    }
}

fn without_parameters(path: &[u8]) -> Result<Vec<u8>, BadPath> {
    let mut out = Vec::with_capacity(path.len());
    let mut segments = path.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let end = memchr::memchr(b';', segment);
        let name = &segment[..end.unwrap_or(segment.len())];
        let last = segments.peek().is_none();
        if end.is_some() && (is_dots(name) || name.is_empty() && !last) {
            return Err(BadPath::Parameters);
        }
        out.extend_from_slice(name);
        if !last {
            out.push(b'/');
        }
    }
    Ok(out)
}

/// Whether a servlet could take it for `.` or `..`, be it that it decodes once more.
fn is_dots(name: &[u8]) -> bool {
    let encoded = |dots: &[u8]| name.eq_ignore_ascii_case(dots);
    matches!(name, b"." | b"..") || encoded(b"%2e") || encoded(b"%2e%2e")
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;

    fn seen(rules: PathRules, sent: &str) -> Result<String, BadPath> {
        let target = Target::by(rules, sent.parse().unwrap())?;
        // Whatever routes see, the upstream gets what the client sent.
        assert_eq!(target.for_upstream().unwrap(), sent);
        Ok(String::from_utf8(target.path().to_vec()).unwrap())
    }

    #[test]
    fn a_slash_at_the_end_is_left_out() {
        let rules = PathRules {
            drop_tail_slash: true,
            ..PathRules::default()
        };
        for (sent, path) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/a/?b=/", "/a"),
            ("/a%2F", "/a"),
            ("/a//", "/a"),
            ("/a/b/..", "/a"),
        ] {
            assert_eq!(seen(rules, sent).as_deref(), Ok(path), "{sent}");
        }
    }

    #[test]
    fn parameters_are_left_out_and_what_hides_behind_them_is_refused() {
        let rules = PathRules {
            drop_parameters: true,
            ..PathRules::default()
        };
        for (sent, path) in [
            ("/a;b=1/c;d", "/a/c"),
            ("/a;b/", "/a/"),
            ("/a/;b", "/a/"),
            ("/a%3Bb/c", "/a/c"),
            ("/a/", "/a/"),
        ] {
            assert_eq!(seen(rules, sent).as_deref(), Ok(path), "{sent}");
        }
        for sent in [
            "/a/..;b/c",
            "/a/.;b/c",
            "/a/;b/c",
            "/a/%252e%252E;/b",
            "/a/..%3bx/b",
        ] {
            assert_eq!(seen(rules, sent), Err(BadPath::Parameters), "{sent}");
        }
    }

    #[test]
    fn what_plugins_change_is_taken_back_to_what_the_rules_make() {
        let rules = PathRules {
            drop_tail_slash: true,
            drop_parameters: true,
        };
        let mut target = Target::by(rules, "/a;b/".parse().unwrap()).unwrap();
        assert_eq!(target.path(), b"/a");
        target.set_path(b"/c/");
        assert_eq!(
            (target.path(), target.for_upstream().unwrap().as_str()),
            (&b"/c/"[..], "/c/")
        );
        target.restore();
        assert_eq!(
            (target.path(), target.for_upstream().unwrap().as_str()),
            (&b"/a"[..], "/a;b/")
        );
    }
}
