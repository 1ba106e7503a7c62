//! How texts from elsewhere look in a log line: on one line, and cut short.

use std::any::Any;

use crate::limits::SHOWN_BYTES;

/// `text` without line breaks and other control characters, and of limited
/// length.
pub(crate) fn shown(text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    let mut shown = String::new();
    for character in String::from_utf8_lossy(&text[..text.len().min(SHOWN_BYTES)]).chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if text.len() > SHOWN_BYTES {
        shown.push('…');
    }
    shown
}

/// An error and its causes.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source.take_if(|_| text.len() <= SHOWN_BYTES) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    shown(text)
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    shown(text.unwrap_or("(no message)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_on_its_line() {
        assert_eq!(shown("grün\nfake line\0"), "grün\\nfake line\\u{0}");
        assert_eq!(shown(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = "x".repeat(SHOWN_BYTES + 1);
        assert_eq!(shown(&long), format!("{}…", &long[1..]));
        assert_eq!(shown(&long[1..]), &long[1..]);
    }

    #[test]
    fn an_error_comes_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::num::ParseIntError);

        let inner = "x".parse::<u8>().unwrap_err();
        assert_eq!(chain(&Outer(inner)), "outer: invalid digit found in string");
    }

    #[test]
    fn panics_say_what_they_can() {
        let text = |panic: Box<dyn Any + Send>| panic_text(&*panic);
        assert_eq!(text(Box::new("literal")), "literal");
        assert_eq!(text(Box::new("formatted".to_owned())), "formatted");
        assert_eq!(text(Box::new(7)), "(no message)");
    }
}
