use super::*;

/// A multimap as it comes with a message.
fn received<K: Names>(entries: &[(&'static str, Option<&'static str>)]) -> Multimap<K> {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    let items = entries.iter().map(|&(name, value)| Item {
        name: bytes(name),
        value: value.map(bytes),
    });
    Multimap {
        items: items.collect(),
        ..Multimap::new()
    }
}

fn headers() -> Headers {
    received(&[
        ("accept", Some("*/*")),
        ("x-multi", Some("one")),
        ("host", Some("a.test")),
        ("X-Multi", Some("two")),
    ])
}

/// The entries of a patch as text.
fn shown<'a>(patch: &'a [Entry<'a>]) -> Vec<(&'a str, Option<&'a str>)> {
    let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap();
    patch
        .iter()
        .map(|entry| (text(entry.name), entry.value.map(text)))
        .collect()
}

fn values<'m>(headers: &'m Headers, name: &str) -> Vec<&'m str> {
    headers
        .get_all(name)
        .map(|value| std::str::from_utf8(value).unwrap())
        .collect()
}

#[test]
fn header_names_are_the_same_in_any_case() {
    let headers = headers();
    assert_eq!(headers.get("ACCEPT"), Some(&b"*/*"[..]));
    assert_eq!(values(&headers, "X-MULTI"), ["one", "two"]);
    assert!(headers.contains("Host") && !headers.contains("hos"));
}

#[test]
fn argument_names_are_not() {
    let args: Args = received(&[("a", Some("1")), ("A", Some("2"))]);
    assert_eq!(args.get_str("A"), Some("2"));
    assert_eq!(args.get_all("a").count(), 1);
}

#[test]
fn an_argument_without_a_value_reads_as_empty_and_is_told_apart_by_iter() {
    let args: Args = received(&[("flag", None), ("empty", Some(""))]);
    assert_eq!(
        (args.get("flag"), args.get("empty")),
        (Some(&b""[..]), Some(&b""[..]))
    );
    let all: Vec<_> = args.iter().collect();
    assert_eq!(all, [(&b"flag"[..], None), (b"empty", Some(&b""[..]))]);
}

#[test]
fn bytes_that_are_not_text_are_kept_and_are_no_str() {
    let mut headers = headers();
    headers.set("x-bytes", b"caf\xe9");
    assert_eq!(headers.get("x-bytes"), Some(&b"caf\xe9"[..]));
    assert_eq!(headers.get_str("x-bytes"), None);
}

#[test]
fn untouched_means_an_empty_patch() {
    assert!(headers().patch().is_empty());
}

#[test]
fn set_replaces_all_values_in_place() {
    let mut headers = headers();
    headers.set("X-Multi", "three");
    assert_eq!(values(&headers, "x-multi"), ["three"]);
    let order: Vec<_> = headers.iter().map(|(name, _)| name).collect();
    assert_eq!(order, [&b"accept"[..], b"X-Multi", b"host"]);
    assert_eq!(shown(&headers.patch()), [("X-Multi", Some("three"))]);
}

#[test]
fn add_sends_the_earlier_values_along_because_the_first_of_a_name_replaces() {
    let mut headers = headers();
    headers.add("x-multi", "three");
    assert_eq!(
        shown(&headers.patch()),
        [
            ("x-multi", Some("one")),
            ("X-Multi", Some("two")),
            ("x-multi", Some("three"))
        ]
    );
}

#[test]
fn remove_deletes_by_an_entry_without_a_value() {
    let mut headers = headers();
    assert!(headers.remove("X-MULTI"));
    assert!(!headers.remove("absent"));
    assert!(!headers.contains("x-multi"));
    assert_eq!(shown(&headers.patch()), [("X-MULTI", None)]);
}

#[test]
fn what_is_set_back_is_no_change() {
    let mut headers = headers();
    headers.set("host", "b.test");
    headers.set("host", "a.test");
    headers.add("new", "1");
    headers.remove("new");
    headers.remove("x-multi");
    headers.add("x-multi", "one");
    headers.add("x-multi", "two");
    assert!(headers.patch().is_empty());
}

#[test]
fn a_patch_has_the_names_in_the_order_of_their_first_change() {
    let mut headers = headers();
    headers.add("b", "1");
    headers.remove("accept");
    headers.add("a", "2");
    headers.set("B", "3");
    assert_eq!(
        shown(&headers.patch()),
        [("B", Some("3")), ("accept", None), ("a", Some("2"))]
    );
}

#[test]
fn a_valueless_argument_beside_a_new_one_is_sent_as_empty_and_deletes_nothing() {
    let mut args: Args = received(&[("flag", None)]);
    args.add("flag", "1");
    assert_eq!(
        shown(&args.patch()),
        [("flag", Some("")), ("flag", Some("1"))]
    );
}

#[test]
fn the_whole_names_what_stayed_what_came_and_what_went() {
    let mut headers = headers();
    headers.remove("x-multi");
    headers.add("new", "1");
    assert_eq!(
        shown(&headers.whole()),
        [
            ("accept", Some("*/*")),
            ("host", Some("a.test")),
            ("new", Some("1")),
            ("x-multi", None)
        ]
    );
}

#[test]
fn headers_that_would_break_a_message_are_found() {
    let invalid = |name: &str, value: &str| {
        let mut headers = headers();
        headers.set(name, value);
        headers.check().unwrap_err().to_string()
    };
    assert_eq!(invalid("x y", "1"), "\"x y\" is not a header name");
    assert_eq!(invalid("", "1"), "\"\" is not a header name");
    for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0b"] {
        let expected = "the value of header \"x\" has a line break or a NUL in it";
        assert_eq!(invalid("x", value), expected);
    }
}

#[test]
fn what_the_client_sent_is_not_the_plugins_fault() {
    let mut headers: Headers = received(&[("odd name", Some("1")), ("b", Some("2"))]);
    headers.set("b", "3");
    assert_eq!(headers.check(), Ok(()));
}

#[test]
fn debug_output_is_readable() {
    let args: Args = received(&[("a", Some("1")), ("flag", None)]);
    assert_eq!(format!("{args:?}"), r#"[("a", Some("1")), ("flag", None)]"#);
}
