//! `config.yaml`: what the gateway is told at its start.
//!
//! Keys and their meaning are APISIX's. One that has no meaning here is noted
//! ([`Settings::notes`]); one that APISIX has and whose lack would change what the gateway
//! does is refused by name; one that nobody knows is refused with the nearest known name.

mod access_log;
mod admin;
mod apisix;
mod client_tls;
mod control;
mod deployment;
mod encryption;
mod etcd;
mod ext_plugin;
mod foreign;
mod listen;
mod nginx;
mod outrigger;
mod plugin_attr;
mod prometheus;
mod real_ip;
mod shape;
mod status;
mod successor;
mod tracing;
mod trust;
mod units;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outrigger_model::read::{At, Null, read};
use outrigger_model::{Cidr, Trust};
use serde_json::{Map, Value};

use self::foreign::Notes;
use crate::apisix_yaml::Format;
use crate::env::{Env, substitute};
use crate::report::{Problem, Report};
use crate::watch::read_file;
use crate::yaml;

pub use self::access_log::{AccessLog, Escape};
pub use self::admin::{AdminApi, AdminKey, AdminRole, AdminTls};
pub use self::client_tls::ClientTls;
pub use self::control::ControlApi;
pub use self::encryption::DataEncryption;
pub use self::etcd::{EtcdHost, EtcdSettings, EtcdTls, EtcdUser};
pub use self::ext_plugin::{
    BreakerRule, EnvRule, ExtPlugin, OutputLevel, OutputRule, RunnerLimits, RunnerSettings,
    RunnerTerms, RunnerTimeout,
};
pub use self::listen::Listen;
pub use self::prometheus::MetricsExport;
pub use self::real_ip::RealIp;
pub use self::tracing::Tracing;

/// What `config.yaml` says, every value checked and every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The folder of `config.yaml`, absolute. Runners run in it.
    pub folder: PathBuf,
    /// Where clients are listened to; no address twice, but for port 0, which the
    /// system chooses. Empty for a control plane, and else not.
    pub listens: Vec<Listen>,
    /// How TLS is spoken to clients.
    pub client_tls: ClientTls,
    /// Where the resources come from.
    pub source: Source,
    /// How routes are looked for.
    pub router: Router,
    /// The peers whose `X-Forwarded-*` headers are believed.
    pub trusted_addresses: Vec<Cidr>,
    /// The Admin API; none if it is off, or resources come from elsewhere.
    pub admin: Option<AdminApi>,
    /// Where the control API listens; none if it is off.
    pub control: Option<ControlApi>,
    /// Where it is told that the gateway serves; none if nowhere.
    pub status: Option<SocketAddr>,
    /// Where metrics are handed out; none if they are not.
    pub metrics: Option<MetricsExport>,
    /// Which requests are traced; none if tracing is off.
    pub tracing: Option<Tracing>,
    /// Whether routes and plugins see paths without a slash at the end.
    pub delete_tail_slash: bool,
    /// Whether routes and plugins see paths without parameters of segments.
    pub servlet_paths: bool,
    /// The port that the plugin `redirect` leads to, where it goes over to HTTPS; none
    /// for the usual one.
    pub redirect_https_port: Option<u16>,
    /// Whether every response carries the upstream's status in
    /// `X-APISIX-Upstream-Status`; otherwise only one that says 5xx.
    pub show_upstream_status: bool,
    /// Whether responses tell the gateway's version in `Server`.
    pub server_tokens: bool,
    /// Whether the health of upstreams' nodes is looked after where they ask for it.
    pub health_checks: bool,
    /// Who may vouch for upstreams whose certificates are verified.
    pub upstream_trust: Trust,
    /// Whether upstreams are told by name, before TLS begins, which host is meant.
    pub upstream_sni: bool,
    /// What clients are held to.
    pub client: ClientLimits,
    /// Proxies that are believed about their clients' addresses; none for none.
    pub real_ip: Option<RealIp>,
    /// Where requests are logged; none for nowhere.
    pub access_log: Option<AccessLog>,
    /// What the gateway's own log tells, where the command line says nothing; none
    /// where nobody does.
    pub log_level: Option<LogLevel>,
    /// How long requests have to end when the gateway stops.
    pub shutdown_timeout: Duration,
    /// The runners of external plugins.
    pub ext_plugin: ExtPlugin,
    /// The names of the plugins that may be used; none if all may.
    pub plugins: Option<Vec<String>>,
    /// How many threads serve requests; none for as many as there are cores.
    pub workers: Option<NonZeroUsize>,
    /// How secrets are kept and shown.
    pub data_encryption: DataEncryption,
    /// The folder of the embedded store; absolute.
    pub data_dir: PathBuf,
    /// The folder for sockets, absolute; none for the system's own choice.
    pub runtime_dir: Option<PathBuf>,
    /// How many bytes of bodies that plugins ask for may be in memory at once;
    /// none for the plugins' own default.
    pub body_memory: Option<u64>,
    /// What was accepted and has no effect, one line of a log each.
    pub notes: Vec<String>,
}

/// Where the resources come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The embedded store in [`Settings::data_dir`].
    Store,
    /// Memory alone; all resources are told at once through the Admin API.
    Memory,
    /// An etcd, shared with other gateways.
    Etcd(Box<EtcdSettings>),
    /// A file that is watched.
    File {
        /// Its path: `apisix.yaml` or `apisix.json` beside `config.yaml`.
        path: PathBuf,
        /// How it is written.
        format: Format,
    },
}

/// What the log tells; `nginx_config.error_log_level`. nginx's further levels are those
/// next to them: `notice` is [`LogLevel::Info`], `crit` and above [`LogLevel::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Errors.
    Error,
    /// Warnings too.
    Warn,
    /// What happens, too.
    Info,
    /// All that may help to find a fault.
    Debug,
}

/// How routes are looked for; `apisix.router.http`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Router {
    /// By host, and then by path: `radixtree_host_uri`.
    #[default]
    HostUri,
    /// By path alone; the host is a condition among others: `radixtree_uri`.
    Uri,
    /// As [`Router::Uri`], with parameters in paths: `radixtree_uri_with_parameter`.
    UriWithParameters,
}

/// What clients are held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLimits {
    /// Largest body of a request, in bytes; none for no limit.
    pub max_body_size: Option<u64>,
    /// Longest line of a request's head (its request line, or one header), in bytes.
    pub max_header_line: usize,
    /// Largest head of a request, in bytes.
    pub max_header_size: usize,
    /// How long a request's head may take; not zero.
    pub header_timeout: Duration,
    /// How long the client may pause within a request's body; not zero.
    pub body_timeout: Duration,
    /// How long the client may pause in taking the response; not zero.
    pub send_timeout: Duration,
    /// How long an idle connection is kept; zero for not at all.
    pub keepalive_timeout: Duration,
    /// Whether fields of requests with an underscore in their names are left out.
    pub drop_underscores: bool,
}

impl Settings {
    /// Reads the file at `path`, or reports all that is wrong with it. `env` gives
    /// the variables that it names.
    pub fn load(path: &Path, env: &Env<'_>) -> Result<Self, Report> {
        let fail = |message: String| Report::of_one(path, Problem::of_file(message));
        let text = read_file(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
        Self::parse(&text, path, env)
    }

    /// As [`Settings::load`], from the text of the file.
    pub fn parse(text: &str, path: &Path, env: &Env<'_>) -> Result<Self, Report> {
        let fail = |problem| Report::of_one(path, problem);
        let folder = folder_of(path).map_err(fail)?;
        let mut tree = yaml::parse(text).map_err(fail)?;
        let missing = substitute(&mut tree, env);
        let (value, marks) = tree.split();
        let value = match value {
            Value::Null => Value::Object(Map::new()),
            value => value,
        };
        let notes = Notes::default();
        let settings = read(&value, Null::IsAbsence, |at| read_all(at, &folder, &notes));
        if !missing.is_empty() {
            return Err(Report::of_all(path, missing, settings.err(), &marks));
        }
        let mut settings = settings.map_err(|faults| Report::of_faults(path, faults, &marks))?;
        settings.notes = notes.into_lines(path, &marks);
        Ok(settings)
    }

    /// Where a file says that resources come from, as far as that can be told of one
    /// that does not hold: none where they come from elsewhere.
    pub fn resources_named_by(text: &str, path: &Path) -> Option<(PathBuf, Format)> {
        let (value, _) = yaml::parse(text).ok()?.split();
        let deployment = value.get("deployment")?;
        let is_data_plane = deployment.get("role")?.as_str()? == "data_plane";
        let provider = deployment
            .pointer("/role_data_plane/config_provider")?
            .as_str()?;
        let folder = folder_of(path).ok()?;
        deployment::file_of(provider, &folder).filter(|_| is_data_plane)
    }
}

fn folder_of(path: &Path) -> Result<PathBuf, Problem> {
    let absolute = std::path::absolute(path);
    let absolute =
        absolute.map_err(|error| Problem::of_file(format!("has no absolute path: {error}")))?;
    Ok(absolute.parent().unwrap_or(Path::new("/")).to_owned())
}

fn read_all(at: &At<'_>, folder: &Path, notes: &Notes) -> Option<Settings> {
    let root = at.object()?;
    let apisix = root.section("apisix", |section| apisix::read(section, folder, notes));
    let nginx = root.section("nginx_config", |section| {
        nginx::read(section, folder, notes)
    });
    let deployment = deployment::read(&root, folder, notes);
    let ext_plugin = ext_plugin::read(&root, &nginx.envs, folder);
    let own = root.section("outrigger", |section| outrigger::read(section, folder));
    let plugins = root.read("plugins", read_plugins);
    let attributes = plugin_attr::read(&root, notes);
    foreign::sort_out(&root, foreign::TOP, notes);
    root.finish();
    let deployment = deployment?;
    Some(Settings {
        folder: folder.to_owned(),
        listens: match deployment.serves {
            true => apisix.listens,
            false => Vec::new(),
        },
        client_tls: apisix.client_tls,
        source: deployment.source,
        admin: deployment.admin.filter(|_| apisix.admin),
        router: apisix.router,
        trusted_addresses: apisix.trusted_addresses,
        control: apisix.control,
        status: apisix.status,
        metrics: attributes.metrics,
        tracing: own.tracing.map(|it| it.of_instance(apisix.id)),
        delete_tail_slash: apisix.delete_tail_slash,
        servlet_paths: apisix.servlet_paths,
        redirect_https_port: attributes.redirect_https_port,
        show_upstream_status: apisix.show_upstream_status,
        server_tokens: apisix.server_tokens,
        upstream_trust: apisix.upstream_trust,
        upstream_sni: nginx.upstream_sni,
        health_checks: apisix.health_checks,
        client: nginx.client,
        access_log: nginx.access_log,
        log_level: nginx.log_level,
        real_ip: nginx.real_ip,
        shutdown_timeout: nginx.shutdown_timeout,
        ext_plugin,
        plugins,
        workers: own.workers.or(apisix.workers).or(nginx.workers),
        data_encryption: apisix.data_encryption,
        data_dir: own.data_dir,
        runtime_dir: own.runtime_dir,
        body_memory: own.body_memory,
        notes: Vec::new(),
    })
}

fn read_plugins(at: &At<'_>) -> Option<Vec<String>> {
    let names = at.unique_items()?;
    Some(
        names
            .filter_map(|name| Some(name.string()?.to_owned()))
            .collect(),
    )
}
