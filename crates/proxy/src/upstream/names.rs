//! The addresses of nodes that are given by name: looked up by the system, off the
//! worker's thread, and known for a moment, so that many new connections at once are
//! one look-up. While look-ups fail, what was known last goes on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared};
use tokio::time::Instant;

use crate::limits::{MAX_NAMES, NAME_KEPT, NAME_STALE, NAME_VALID};

/// What a look-up comes to.
type Found = Result<Rc<[IpAddr]>, Rc<str>>;

/// How names are looked up.
type LookUp = dyn Fn(Arc<str>) -> LocalBoxFuture<'static, io::Result<Vec<IpAddr>>>;

/// A worker's names.
pub(crate) struct Names {
    look_up: Box<LookUp>,
    known: RefCell<HashMap<Arc<str>, Name>>,
}

#[derive(Default)]
struct Name {
    /// Of the last look-up that succeeded, with when that was.
    found: Option<(Rc<[IpAddr]>, Instant)>,
    /// When each address was last among those that were found.
    seen: Vec<(IpAddr, Instant)>,
    looking: Option<Shared<LocalBoxFuture<'static, Found>>>,
    /// Counts the connections, which begin at one address after the other.
    turn: usize,
}

impl Name {
    fn age(&self, now: Instant) -> Option<std::time::Duration> {
        let (_, at) = self.found.as_ref()?;
        Some(now.saturating_duration_since(*at))
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age < NAME_VALID)
    }

    fn learn(&mut self, found: &Found, now: Instant) {
        // Whoever comes first out of a look-up that many waited for ends it.
        if self.looking.take().is_none() {
            return;
        }
        if let Ok(addresses) = found {
            self.seen
                .retain(|(ip, at)| now - *at < NAME_KEPT && !addresses.contains(ip));
            self.seen.extend(addresses.iter().map(|ip| (*ip, now)));
            self.found = Some((Rc::clone(addresses), now));
        }
    }

    /// The addresses, beginning with the one whose turn it is.
    fn turned(&mut self) -> Option<Vec<IpAddr>> {
        let (addresses, _) = self.found.as_ref()?;
        let mut turned = addresses.to_vec();
        let first = self.turn % turned.len();
        turned.rotate_left(first);
        self.turn = self.turn.wrapping_add(1);
        Some(turned)
    }
}

impl Names {
    pub(crate) fn new() -> Self {
        Self::looked_up_by(|name| by_system(name).boxed_local())
    }

    fn looked_up_by(
        look_up: impl Fn(Arc<str>) -> LocalBoxFuture<'static, io::Result<Vec<IpAddr>>> + 'static,
    ) -> Self {
        Names {
            look_up: Box::new(look_up),
            known: RefCell::default(),
        }
    }

    /// The addresses of `name`, at least one, in the order in which they are to be tried.
    ///
    /// # Errors
    /// The name has none, or nobody knows, and it was not known of late either.
    pub(crate) async fn addresses(&self, name: &Arc<str>) -> io::Result<Vec<IpAddr>> {
        let looking = {
            let now = Instant::now();
            let mut known = self.known.borrow_mut();
            if known.len() >= MAX_NAMES && !known.contains_key(name) {
                known.retain(|_, name| name.is_fresh(now) || name.looking.is_some());
            }
            let entry = known.entry(Arc::clone(name)).or_default();
            if entry.is_fresh(now)
                && let Some(addresses) = entry.turned()
            {
                return Ok(addresses);
            }
            let look_up = || {
                found((self.look_up)(Arc::clone(name)))
                    .boxed_local()
                    .shared()
            };
            entry.looking.get_or_insert_with(look_up).clone()
        };
        let found = looking.await;
        let now = Instant::now();
        let mut known = self.known.borrow_mut();
        let entry = known.entry(Arc::clone(name)).or_default();
        entry.learn(&found, now);
        match found {
            Ok(_) => {}
            Err(why) if entry.age(now).is_some_and(|age| age < NAME_STALE) => {
                tracing::warn!(%name, %why, "a name of a node cannot be looked up: it keeps its addresses");
            }
            Err(why) => return Err(io::Error::other(format!("cannot look up {name}: {why}"))),
        }
        entry
            .turned()
            .ok_or_else(|| io::Error::other(format!("{name} was forgotten")))
    }

    /// Whether it is time to look `name` up, if anybody uses it.
    pub(crate) fn is_due(&self, name: &str) -> bool {
        let known = self.known.borrow();
        let due = |name: &Name| !name.is_fresh(Instant::now()) && name.looking.is_none();
        known.get(name).is_some_and(due)
    }

    /// Whether `address` still is one of those of `name`, as far as is known.
    pub(crate) fn has(&self, name: &str, address: IpAddr) -> bool {
        let known = self.known.borrow();
        let Some(name) = known.get(name) else {
            return true;
        };
        let Some((_, at)) = &name.found else {
            return true;
        };
        let mut seen = name.seen.iter();
        // Servers often tell but some of a name's addresses at a time.
        seen.any(|(ip, last)| *ip == address && *at - *last < NAME_KEPT)
    }
}

async fn found(looking: LocalBoxFuture<'static, io::Result<Vec<IpAddr>>>) -> Found {
    match looking.await {
        Ok(addresses) if addresses.is_empty() => Err("it has no address".into()),
        Ok(addresses) => Ok(addresses.into()),
        Err(error) => Err(error.to_string().into()),
    }
}

async fn by_system(name: Arc<str>) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((&*name, 0)).await?;
    let mut addresses = Vec::new();
    for ip in found.map(|address| address.ip()) {
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;
    use tokio::time::{advance, sleep};

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// Names that are looked up in `answers` in turn, which takes a second; none left:
    /// it fails. Counts how often.
    fn names(answers: &[&[u8]]) -> (Names, Rc<Cell<usize>>) {
        let answers: Vec<Vec<_>> = answers
            .iter()
            .map(|answer| answer.iter().copied().map(ip).collect())
            .collect();
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        let names = Names::looked_up_by(move |_| {
            let answer = answers.get(counted.get()).cloned();
            counted.set(counted.get() + 1);
            let look_up = async {
                sleep(Duration::from_secs(1)).await;
                answer.ok_or_else(|| io::Error::other("nobody knows"))
            };
            look_up.boxed_local()
        });
        (names, count)
    }

    async fn first(names: &Names) -> Result<IpAddr, String> {
        let found = names.addresses(&"a.test".into()).await;
        found
            .map(|addresses| addresses[0])
            .map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn many_connections_at_once_are_one_look_up_and_take_turns() {
        let (names, count) = names(&[&[1, 2, 3]]);
        let (a, b, c) = tokio::join!(first(&names), first(&names), first(&names));
        let mut all = [a, b, c].map(Result::unwrap);
        all.sort_unstable();
        assert_eq!(all, [ip(1), ip(2), ip(3)]);
        assert_eq!(first(&names).await, Ok(ip(1)));
        assert_eq!(count.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_goes_on_when_nobody_waits_any_more() {
        let (names, count) = names(&[&[1]]);
        let short = tokio::time::timeout(Duration::from_millis(600), first(&names));
        assert!(short.await.is_err());
        assert_eq!(first(&names).await, Ok(ip(1)));
        assert_eq!(count.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn other_addresses_are_noticed_and_those_that_are_gone_forgotten() {
        let (names, _) = names(&[&[1, 2], &[2], &[2]]);
        assert!(names.has("a.test", ip(9)), "nothing is known yet");
        first(&names).await.unwrap();
        assert!(!names.is_due("a.test"));
        advance(NAME_VALID).await;
        assert!(names.is_due("a.test") && !names.is_due("b.test"));
        assert_eq!(first(&names).await, Ok(ip(2)));
        assert!(names.has("a.test", ip(1)), "it was there a moment ago");
        advance(NAME_KEPT).await;
        first(&names).await.unwrap();
        assert!(names.has("a.test", ip(2)) && !names.has("a.test", ip(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_known_goes_on_while_nobody_knows() {
        let (names, count) = names(&[&[1]]);
        first(&names).await.unwrap();
        advance(NAME_VALID).await;
        assert_eq!(first(&names).await, Ok(ip(1)));
        assert_eq!(count.get(), 2);
        assert!(names.has("a.test", ip(1)));
        advance(NAME_STALE).await;
        let error = first(&names).await.unwrap_err();
        assert_eq!(error, "cannot look up a.test: nobody knows");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_without_an_address_is_an_error() {
        let (names, _) = names(&[&[]]);
        let error = first(&names).await.unwrap_err();
        assert!(error.contains("no address"), "{error}");
    }
}
