//! Where a request carries a key or a token: a header field, else the query, else a
//! cookie.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use outrigger_engine::args::{Arg, ArgEdit, edit};
use outrigger_engine::exchange::Exchange;

/// The names that are looked for.
pub(crate) struct Carrier {
    pub(crate) field: HeaderName,
    pub(crate) query: String,
    pub(crate) cookie: Option<String>,
}

/// Where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Header,
    Query,
    Cookie,
}

impl Carrier {
    /// What the request carries. Several in the query or among the cookies are
    /// none that anybody has.
    pub(crate) fn find(&self, exchange: &Exchange) -> Option<(Vec<u8>, Place)> {
        if let Some(field) = exchange.headers.get(&self.field) {
            return Some((field.as_bytes().to_vec(), Place::Header));
        }
        let named = |arg: &Arg<'_>| *arg.name == *self.query.as_bytes();
        let mut args = exchange.target.args().filter(named);
        if let Some(first) = args.next() {
            let found = match args.next() {
                None => first.value.unwrap_or_default().into_owned(),
                Some(_) => Vec::new(),
            };
            return Some((found, Place::Query));
        }
        let name = self.cookie.as_ref()?.as_bytes();
        let mut cookies = cookies(&exchange.headers).filter(|it| it.name == name);
        let first = cookies.next()?.value;
        let found = if cookies.next().is_some() { b"" } else { first };
        Some((found.to_vec(), Place::Cookie))
    }

    /// Takes it out of the request.
    pub(crate) fn hide(&self, exchange: &mut Exchange, place: Place) {
        match place {
            Place::Header => {
                exchange.headers.remove(&self.field);
            }
            Place::Query => {
                let query = exchange.target.query().unwrap_or_default();
                let left = edit(query, &[ArgEdit::Remove(self.query.as_bytes())]);
                exchange.target.set_query(left.map(Into::into));
            }
            Place::Cookie => {
                let name = self.cookie.as_deref().unwrap_or_default().as_bytes();
                let others = cookies(&exchange.headers).filter(|it| it.name != name);
                let others: Vec<&[u8]> = others.map(|it| it.whole).collect();
                let left = HeaderValue::from_bytes(&others.join(&b"; "[..]));
                exchange.headers.remove(header::COOKIE);
                // Parts of what was a field's value are one, too.
                if let Some(left) = left.ok().filter(|left| !left.is_empty()) {
                    exchange.headers.insert(header::COOKIE, left);
                }
            }
        }
    }
}

/// One pair of a `Cookie` field.
struct Cookie<'a> {
    name: &'a [u8],
    value: &'a [u8],
    /// The pair as it was sent.
    whole: &'a [u8],
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    let fields = headers.get_all(header::COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    let pairs = pairs.map(<[u8]>::trim_ascii);
    pairs.filter(|pair| !pair.is_empty()).map(|whole| {
        let equals = whole.iter().position(|byte| *byte == b'=');
        let (name, value) = equals.map_or((whole, &b""[..]), |at| (&whole[..at], &whole[at + 1..]));
        Cookie { name, value, whole }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_told_apart() {
        let mut headers = HeaderMap::new();
        for field in ["a=1; jwt=x=y;b", " ;c = 2; "] {
            headers.append(header::COOKIE, HeaderValue::from_static(field));
        }
        let found: Vec<_> = cookies(&headers).map(|it| (it.name, it.value)).collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"a", b"1"), (b"jwt", b"x=y"), (b"b", b""), (b"c ", b" 2")];
        assert_eq!(found, expected);
    }
}
