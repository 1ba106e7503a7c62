use super::*;

const LIFETIME: Duration = Duration::from_secs(1200);

/// A cache in simulated time, with configurations of one byte each.
struct Scene {
    cache: ConfCache<&'static str, &'static str>,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        Self::starting_at(7)
    }

    fn starting_at(first_token: u32) -> Self {
        let limits = ConfLimits {
            confs: 3,
            bytes: 100,
            ..ConfLimits::new(LIFETIME * 5 / 6)
        };
        Self {
            cache: ConfCache::new(limits, first_token),
            now: Instant::now(),
        }
    }

    fn prepare(&mut self, key: &'static str, content: &'static str) -> u32 {
        self.prepare_sized(key, content, 1)
    }

    fn prepare_sized(&mut self, key: &'static str, content: &'static str, size: usize) -> u32 {
        let key = Bytes::from_static(key.as_bytes());
        let prepared = Prepared { key, content, size };
        self.cache.insert(prepared, Arc::new(content), self.now).0.0
    }

    fn get(&self, token: u32) -> Option<&'static str> {
        self.cache.get(ConfToken(token), self.now).map(|conf| *conf)
    }
}

#[test]
fn a_token_names_its_configuration() {
    let mut scene = Scene::new();
    let (a, b) = (scene.prepare("a", "A"), scene.prepare("b", "B"));
    assert_eq!((a, b), (7, 8));
    assert_eq!(
        (scene.get(a), scene.get(b), scene.get(9)),
        (Some("A"), Some("B"), None)
    );
}

#[test]
fn the_same_key_with_the_same_content_keeps_its_token() {
    let mut scene = Scene::new();
    let token = scene.prepare("a", "A");
    scene.now += LIFETIME / 2;
    assert_eq!(scene.prepare("a", "A"), token);
}

#[test]
fn the_same_key_with_other_content_gets_a_new_token_and_the_old_one_lives_on() {
    let mut scene = Scene::new();
    let old = scene.prepare("a", "A");
    let new = scene.prepare("a", "changed");
    assert_ne!(old, new);
    assert_eq!(
        (scene.get(old), scene.get(new)),
        (Some("A"), Some("changed"))
    );
    assert_eq!(scene.prepare("a", "changed"), new);
}

#[test]
fn without_a_key_nothing_is_the_same() {
    let mut scene = Scene::new();
    assert_ne!(scene.prepare("", "A"), scene.prepare("", "A"));
    assert!(scene.cache.by_key.is_empty());
}

#[test]
fn a_configuration_lives_a_fifth_longer_than_the_host_keeps_its_token() {
    let limits = ConfLimits::new(Duration::from_secs(3600));
    assert_eq!(limits.lifetime, Duration::from_secs(4320));
    assert_eq!(ConfLimits::new(Duration::MAX).lifetime, MAX_CONF_LIFETIME);
}

#[test]
fn a_token_expires_at_the_end_of_its_lifetime() {
    let mut scene = Scene::new();
    let token = scene.prepare("a", "A");
    scene.now += LIFETIME - Duration::from_nanos(1);
    assert_eq!(scene.get(token), Some("A"));
    scene.now += Duration::from_nanos(1);
    assert_eq!(scene.get(token), None);
    assert_ne!(
        scene.prepare("a", "A"),
        token,
        "an expired token does not come back"
    );
}

#[test]
fn preparing_again_renews_the_lifetime() {
    let mut scene = Scene::new();
    let token = scene.prepare("a", "A");
    scene.now += LIFETIME * 9 / 10;
    assert_eq!(scene.prepare("a", "A"), token);
    scene.now += LIFETIME * 9 / 10;
    assert_eq!(scene.get(token), Some("A"));
}

#[test]
fn renewing_does_not_need_the_configuration() {
    let mut scene = Scene::new();
    let token = scene.prepare("a", "A");
    let again = Prepared {
        key: Bytes::from_static(b"a"),
        content: "A",
        size: 1,
    };
    assert_eq!(scene.cache.renew(&again, scene.now), Some(ConfToken(token)));
    let other = Prepared {
        content: "B",
        ..again
    };
    assert_eq!(scene.cache.renew(&other, scene.now), None);
}

#[test]
fn a_full_cache_drops_the_one_that_was_prepared_longest_ago() {
    let mut scene = Scene::new();
    let a = scene.prepare("a", "A");
    let b = scene.prepare("b", "B");
    let c = scene.prepare("c", "C");
    scene.prepare("a", "A");
    scene.prepare("d", "D");
    assert_eq!(
        (scene.get(a), scene.get(b), scene.get(c)),
        (Some("A"), None, Some("C"))
    );
}

#[test]
fn the_expired_go_first_and_all_at_once() {
    let mut scene = Scene::new();
    scene.prepare("a", "A");
    scene.prepare("b", "B");
    scene.now += LIFETIME;
    let c = scene.prepare("c", "C");
    assert_eq!(scene.cache.by_token.len(), 1);
    assert_eq!(scene.get(c), Some("C"));
}

#[test]
fn the_bytes_kept_are_bounded_and_the_newest_always_fits() {
    let mut scene = Scene::new();
    let a = scene.prepare_sized("a", "A", 60);
    let b = scene.prepare_sized("b", "B", 40);
    assert!(scene.get(a).is_some() && scene.get(b).is_some());
    let c = scene.prepare_sized("c", "C", 1);
    assert!(scene.get(a).is_none() && scene.get(b).is_some() && scene.get(c).is_some());
    let huge = scene.prepare_sized("d", "D", 1000);
    assert!(scene.get(b).is_none() && scene.get(c).is_none() && scene.get(huge).is_some());
    assert_eq!(scene.cache.bytes, 1000);
}

#[test]
fn all_maps_agree_after_much_coming_and_going() {
    let mut scene = Scene::new();
    for (step, key) in ["a", "b", "a", "", "c", "d", "a", "", "b", "b"]
        .iter()
        .cycle()
        .take(200)
        .enumerate()
    {
        scene.prepare_sized(key, if step % 7 == 0 { "x" } else { "y" }, step % 50);
        scene.now += LIFETIME / 5;
        let cache = &scene.cache;
        assert!(cache.by_token.len() <= 3);
        assert_eq!(cache.by_age.len(), cache.by_token.len());
        assert!(
            cache
                .by_age
                .iter()
                .all(|(age, token)| cache.by_token[token].age == *age)
        );
        assert!(
            cache
                .by_key
                .iter()
                .all(|(key, token)| cache.by_token[token].prepared.key == key)
        );
        let sizes: usize = cache.by_token.values().map(|kept| kept.prepared.size).sum();
        assert_eq!(cache.bytes, sizes);
    }
}

#[test]
fn a_token_is_never_0_and_never_one_that_lives() {
    let mut scene = Scene::starting_at(u32::MAX);
    assert_eq!(scene.prepare("a", "A"), u32::MAX);
    assert_eq!(scene.prepare("b", "B"), 1);
    scene.cache.next_token = u32::MAX;
    assert_eq!(scene.prepare("c", "C"), 2);
}

#[test]
fn what_is_dropped_is_handed_out_to_be_dropped_elsewhere() {
    let mut scene = Scene::new();
    let conf = Arc::new("A");
    let prepared = Prepared {
        key: Bytes::new(),
        content: "A",
        size: 1,
    };
    let (_, nothing) = scene.cache.insert(prepared, Arc::clone(&conf), scene.now);
    drop(nothing);
    scene.now += LIFETIME;
    let prepared = Prepared {
        key: Bytes::new(),
        content: "B",
        size: 1,
    };
    let (_, evicted) = scene.cache.insert(prepared, Arc::new("B"), scene.now);
    assert_eq!(Arc::strong_count(&conf), 2);
    drop(evicted);
    assert_eq!(Arc::strong_count(&conf), 1);
}
