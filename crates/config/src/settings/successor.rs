//! What other settings mean for a gateway that runs already.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::{Settings, Source};

impl Settings {
    /// What of these settings holds for a gateway that has started by `present`, and what
    /// has to wait for its next start: keys, with both values.
    pub fn as_successor_of(self, present: &Self) -> (Self, Vec<String>) {
        let mut waiting = Waiting::default();
        // Every setting is here, so that a new one gets a place.
        let next = Settings {
            folder: self.folder,
            listens: self.listens,
            client_tls: self.client_tls,
            // There is nothing for the Admin API to change without a store.
            admin: match self.source == present.source {
                true => self.admin,
                false => present.admin.clone(),
            },
            source: match (&present.source, &self.source) {
                (Source::Etcd(_), Source::Etcd(_)) => {
                    waiting.keep_untold("deployment.etcd", &present.source, self.source)
                }
                _ => waiting.keep("deployment.role", &present.source, self.source, source),
            },
            router: self.router,
            trusted_addresses: self.trusted_addresses,
            control: self.control,
            status: self.status,
            metrics: self.metrics,
            tracing: self.tracing,
            data_encryption: {
                let key = "apisix.data_encryption";
                waiting.keep_untold(key, &present.data_encryption, self.data_encryption)
            },
            delete_tail_slash: self.delete_tail_slash,
            servlet_paths: self.servlet_paths,
            redirect_https_port: self.redirect_https_port,
            show_upstream_status: self.show_upstream_status,
            server_tokens: self.server_tokens,
            upstream_trust: self.upstream_trust,
            upstream_sni: self.upstream_sni,
            health_checks: self.health_checks,
            client: self.client,
            real_ip: self.real_ip,
            access_log: self.access_log,
            log_level: self.log_level,
            shutdown_timeout: self.shutdown_timeout,
            ext_plugin: self.ext_plugin,
            plugins: self.plugins,
            workers: waiting.keep("outrigger.workers", &present.workers, self.workers, workers),
            data_dir: {
                let key = "outrigger.data_dir";
                waiting.keep(key, &present.data_dir, self.data_dir, |it| shown(it))
            },
            runtime_dir: {
                let folder = |it: &Option<PathBuf>| it.as_deref().map_or("none".into(), shown);
                let key = "outrigger.runtime_dir";
                waiting.keep(key, &present.runtime_dir, self.runtime_dir, folder)
            },
            body_memory: self.body_memory,
            notes: self.notes,
        };
        (next, waiting.0)
    }
}

/// Keys that wait for the next start.
#[derive(Default)]
struct Waiting(Vec<String>);

impl Waiting {
    /// What is there stays; says so if `after` is something else, as `show` shows it:
    /// without secrets.
    fn keep<T: Clone + PartialEq>(
        &mut self,
        key: &str,
        before: &T,
        after: T,
        show: impl Fn(&T) -> String,
    ) -> T {
        if *before != after {
            let (from, to) = (show(before), show(&after));
            self.0.push(format!("{key} (from {from} to {to})"));
        }
        before.clone()
    }

    /// As [`Waiting::keep`], of what may hold secrets.
    fn keep_untold<T: Clone + PartialEq>(&mut self, key: &str, before: &T, after: T) -> T {
        if *before != after {
            self.0.push(key.to_owned());
        }
        before.clone()
    }
}

fn source(source: &Source) -> String {
    match source {
        Source::Store => "a store".to_owned(),
        Source::Memory => "memory".to_owned(),
        Source::Etcd(_) => "etcd".to_owned(),
        Source::File { path, .. } => shown(path),
    }
}

fn workers(workers: &Option<NonZeroUsize>) -> String {
    workers.map_or("one for each core".to_owned(), |workers| {
        workers.to_string()
    })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::parse(text, Path::new("/etc/o/config.yaml"), &|_| None).unwrap()
    }

    #[test]
    fn what_waits_is_named_and_the_rest_holds() {
        let present = settings("deployment: {admin: {admin_key: [{key: old}]}}");
        let next = settings(
            "outrigger: {workers: 3, data_dir: d, runtime_dir: /r}\n\
             deployment: {role: data_plane, role_data_plane: {config_provider: yaml}}\n\
             apisix: {data_encryption: {keyring: [0123456789abcdef]}}\n\
             plugins: [cors]",
        );
        let (holds, waiting) = next.as_successor_of(&present);
        assert_eq!(
            waiting,
            [
                "deployment.role (from a store to /etc/o/apisix.yaml)",
                "apisix.data_encryption",
                "outrigger.workers (from one for each core to 3)",
                "outrigger.data_dir (from /etc/o/data to /etc/o/d)",
                "outrigger.runtime_dir (from none to /r)",
            ]
        );
        let expected = Settings {
            plugins: Some(vec!["cors".to_owned()]),
            ..present
        };
        assert_eq!(holds, expected);
    }

    #[test]
    fn another_etcd_waits_and_its_password_is_not_told() {
        let with = |etcd: &str| settings(&format!("deployment: {{etcd: {etcd}}}"));
        let present = with("{host: ['http://a:1']}");
        let (holds, waiting) =
            with("{host: ['http://a:1'], user: u, password: s3cret}").as_successor_of(&present);
        assert_eq!(waiting, ["deployment.etcd"]);
        assert_eq!(holds, present);
        let (_, waiting) = settings("").as_successor_of(&present);
        assert_eq!(waiting, ["deployment.role (from etcd to a store)"]);
    }

    #[test]
    fn nothing_waits_where_nothing_of_it_has_changed() {
        let present = settings("outrigger: {workers: 1}");
        let next = settings("outrigger: {workers: 1}\nnginx_config: {error_log_level: warn}");
        let (holds, waiting) = next.clone().as_successor_of(&present);
        assert!(waiting.is_empty(), "{waiting:?}");
        assert_eq!(holds, next);
    }
}
