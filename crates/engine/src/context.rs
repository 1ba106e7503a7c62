//! What plugins keep for one request, from phase to phase: values by name.
//!
//! Everybody reads them as the variables `ctx_NAME`. Only plugins set them:
//! nothing that a client or an upstream sends gets here.

use crate::limits::{CONTEXT_BYTES, CONTEXT_VALUES};

/// The values of one request. Names are compared without case, and dashes are
/// underscores, as in nginx's variables of header fields.
#[derive(Debug, Clone, Default)]
pub struct Context {
    values: Vec<(Vec<u8>, Vec<u8>)>,
}

/// There is no room for another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request's context holds at most {CONTEXT_VALUES} values and {CONTEXT_BYTES} bytes")]
pub struct ContextFull;

impl Context {
    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.values.iter().find(|(known, _)| same(known, name));
        found.map(|(_, value)| &value[..])
    }

    /// Sets a value in place of the one that `name` has.
    ///
    /// # Errors
    /// [`ContextFull`]; nothing is changed then.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), ContextFull> {
        let others = self.values.iter().filter(|(known, _)| !same(known, name));
        let (count, bytes) = others.fold(
            (1, name.len() + value.len()),
            |(count, bytes), (name, value)| (count + 1, bytes + name.len() + value.len()),
        );
        if count > CONTEXT_VALUES || bytes > CONTEXT_BYTES {
            return Err(ContextFull);
        }
        self.remove(name);
        self.values.push((name.to_vec(), value.to_vec()));
        Ok(())
    }

    /// Forgets the value of `name`.
    pub fn remove(&mut self, name: &[u8]) {
        self.values.retain(|(known, _)| !same(known, name));
    }
}

fn same(one: &[u8], other: &[u8]) -> bool {
    let letter = |byte: &u8| match byte {
        b'-' => b'_',
        byte => byte.to_ascii_lowercase(),
    };
    one.len() == other.len() && one.iter().map(letter).eq(other.iter().map(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_name_in_any_spelling() {
        let mut context = Context::default();
        context.set(b"User-Id", b"7").unwrap();
        assert_eq!(context.get(b"user_id"), Some(&b"7"[..]));
        context.set(b"user_id", b"").unwrap();
        assert_eq!(context.get(b"user-id"), Some(&b""[..]));
        context.remove(b"USER-ID");
        assert_eq!(context.get(b"user_id"), None);
    }

    #[test]
    fn it_holds_so_many_values_and_bytes() {
        let mut context = Context::default();
        for number in 0..CONTEXT_VALUES {
            context.set(number.to_string().as_bytes(), b"x").unwrap();
        }
        assert_eq!(context.set(b"one more", b"x"), Err(ContextFull));
        context.set(b"0", b"another").unwrap();
        let mut context = Context::default();
        context.set(b"a", &[0; CONTEXT_BYTES - 1]).unwrap();
        assert_eq!(context.set(b"a", &[0; CONTEXT_BYTES]), Err(ContextFull));
        assert_eq!(context.set(b"b", b""), Err(ContextFull));
        assert_eq!(context.get(b"a").map(<[u8]>::len), Some(CONTEXT_BYTES - 1));
    }
}
