//! What becomes of texts of `config.yaml`, and in which words bad ones are refused.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outrigger_config::{
    AccessLog, AdminRole, BreakerRule, ClientLimits, ControlApi, EnvRule, Escape, EtcdHost,
    EtcdSettings, ExtPlugin, Format, OutputLevel, OutputRule, Report, Router, RunnerLimits,
    RunnerTerms, RunnerTimeout, Settings, Source,
};

/// The least that a file must say.
const DEPLOYMENT: &str = "deployment:\n  role: data_plane\n  \
                          role_data_plane: {config_provider: yaml}\n";

fn env(name: &str) -> Option<String> {
    let value = match name {
        "PORT" => "19080",
        "SECRET" => "s3cret",
        _ => return None,
    };
    Some(value.to_owned())
}

fn read(text: &str) -> Result<Settings, Report> {
    Settings::parse(text, Path::new("/etc/outrigger/config.yaml"), &env)
}

/// The settings of a file that says `more` too.
fn with(more: &str) -> Settings {
    read(&format!("{DEPLOYMENT}{more}")).unwrap_or_else(|report| panic!("{report}"))
}

/// The problems of a file that says `more` too. Its lines are counted from 1, and
/// the file is left out.
fn problems(more: &str) -> Vec<String> {
    let report = read(&format!("{more}{DEPLOYMENT}")).expect_err("a report");
    let shown = report.to_string();
    let lines = shown.lines();
    lines
        .map(|line| line.replace("/etc/outrigger/config.yaml:", ""))
        .collect()
}

#[track_caller]
fn refused(more: &str, expected: &[&str]) {
    assert_eq!(problems(more), expected, "{more}");
}

fn addresses(settings: &Settings) -> Vec<String> {
    let listens = settings.listens.iter();
    listens.map(|listen| listen.address.to_string()).collect()
}

#[test]
fn secrets_are_sealed_by_default_and_as_is_said() {
    let encryption = |text: &str| {
        let settings = with(&format!("apisix: {{data_encryption: {text}}}"));
        settings.data_encryption
    };
    let default = with("").data_encryption;
    assert_eq!(default, encryption("{enable_encrypt_fields: true}"));
    assert!(default.enabled);
    assert_eq!(default.keyring.seal("k1"), "sGfoff/k5TVaPiyGca5e5w==");
    let off = encryption("{enable_encrypt_fields: false}");
    assert!(!off.enabled);
    let one = encryption("{keyring: 0123456789abcdef}");
    assert_ne!(one.keyring.seal("k1"), default.keyring.seal("k1"));
    assert_eq!(one, encryption("{keyring: [0123456789abcdef]}"));
    refused(
        "apisix: {data_encryption: {keyring: [short], enable: true}}\n",
        &[
            "1:38: apisix.data_encryption.keyring[0]: expected a key of 16 bytes, got 5",
            "1:46: apisix.data_encryption.enable: unknown property, \
             did you mean \"enable_encrypt_fields\"?",
        ],
    );
    refused(
        "apisix: {data_encryption: {keyring: []}}\n",
        &["1:28: apisix.data_encryption.keyring: expect array to have at least 1 items"],
    );
}

#[test]
fn who_vouches_for_upstreams_is_the_system_or_in_files() {
    let trust =
        |value: &str| with(&format!("apisix: {{ssl: {{enable: false, {value}}}}}")).upstream_trust;
    assert_eq!(trust(""), with("").upstream_trust);
    assert!(trust("").system && trust("").certificates.is_empty());
    assert_eq!(trust("ssl_trusted_certificate: system"), trust(""));
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (
        folder.path().join("good.pem"),
        folder.path().join("bad.pem"),
    );
    // Whether it can vouch for anybody shows when it is to.
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(&good, pem.repeat(2)).unwrap();
    fs::write(&bad, "nothing of the kind").unwrap();
    let found = trust(&format!("ssl_trusted_certificate: {}", good.display()));
    assert_eq!((found.system, found.certificates.len()), (false, 2));
    let both = format!("ssl_trusted_certificate: 'system, {}'", good.display());
    assert!(trust(&both).system && !trust(&both).certificates.is_empty());
    for (path, said) in [
        (
            bad.display().to_string(),
            "bad.pem: expected certificates in PEM",
        ),
        ("not/there.pem".into(), "/etc/outrigger/not/there.pem: "),
    ] {
        let text = format!("apisix: {{ssl: {{enable: false, ssl_trusted_certificate: {path}}}}}\n");
        let problem = problems(&text).join("\n");
        let place = "apisix.ssl.ssl_trusted_certificate: ";
        assert!(
            problem.contains(place) && problem.contains(said),
            "{problem}"
        );
    }
}

#[test]
fn a_file_that_says_the_least_has_the_defaults() {
    let settings = with("");
    assert_eq!(settings.folder, Path::new("/etc/outrigger"));
    assert_eq!(addresses(&settings), ["0.0.0.0:9080"]);
    let path = PathBuf::from("/etc/outrigger/apisix.yaml");
    let format = Format::Yaml;
    assert_eq!(settings.source, Source::File { path, format });
    assert_eq!(settings.router, Router::HostUri);
    assert!(settings.trusted_addresses.is_empty());
    assert!(!settings.show_upstream_status && settings.server_tokens);
    let minute = Duration::from_secs(60);
    let client = ClientLimits {
        max_body_size: None,
        max_header_line: 8 * 1024,
        max_header_size: 32 * 1024,
        header_timeout: minute,
        body_timeout: minute,
        send_timeout: Duration::from_secs(10),
        keepalive_timeout: minute,
        drop_underscores: false,
    };
    assert_eq!(settings.client, client);
    assert_eq!(settings.shutdown_timeout, Duration::from_secs(240));
    assert_eq!(settings.ext_plugin, ExtPlugin::default());
    assert_eq!((settings.plugins, settings.workers), (None, None));
    assert_eq!(settings.data_dir, Path::new("/etc/outrigger/data"));
    assert_eq!(settings.runtime_dir, None);
    assert_eq!(settings.body_memory, None);
    assert_eq!(settings.notes, [""; 0]);
}

#[test]
fn everything_that_has_a_meaning_can_be_set() {
    let settings = with(
        "apisix:
  router: {http: radixtree_uri, ssl: radixtree_sni}
  trusted_addresses: [127.0.0.1, 'fe80::/10']
  show_upstream_status_in_response_header: true
  enable_server_tokens: false
nginx_config:
  worker_processes: 3
  worker_shutdown_timeout: 5s
  http:
    client_max_body_size: 10m
    large_client_header_buffers: 8 16k
    client_header_timeout: 1s
    client_body_timeout: 2
    send_timeout: 1m
    keepalive_timeout: 0
    underscores_in_headers: 'on'
plugins: [proxy-rewrite, ext-plugin-pre-req]
outrigger: {data_dir: ../store, runtime_dir: /run/mine, body_memory: 64m}
",
    );
    assert_eq!(settings.router, Router::Uri);
    let trusted: Vec<_> = settings
        .trusted_addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(trusted, ["127.0.0.1/32", "fe80::/10"]);
    assert!(settings.show_upstream_status && !settings.server_tokens);
    let client = ClientLimits {
        max_body_size: Some(10 * 1024 * 1024),
        max_header_line: 16 * 1024,
        max_header_size: 128 * 1024,
        header_timeout: Duration::from_secs(1),
        body_timeout: Duration::from_secs(2),
        send_timeout: Duration::from_secs(60),
        keepalive_timeout: Duration::ZERO,
        drop_underscores: false,
    };
    assert_eq!(settings.client, client);
    assert_eq!(settings.shutdown_timeout, Duration::from_secs(5));
    let plugins = ["proxy-rewrite", "ext-plugin-pre-req"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(settings.plugins, Some(plugins));
    assert_eq!(settings.workers, NonZeroUsize::new(3));
    assert_eq!(settings.data_dir, Path::new("/etc/outrigger/../store"));
    assert_eq!(settings.body_memory, Some(64 << 20));
    assert_eq!(
        settings.runtime_dir.as_deref(),
        Some(Path::new("/run/mine"))
    );
    assert_eq!(settings.notes, [""; 0]);
}

#[test]
fn the_control_api_is_on_unless_it_is_switched_off() {
    let control = |apisix: &str| with(&format!("apisix: {{{apisix}}}\n")).control;
    let at = |address: &str, explicit| {
        let address = address.parse().unwrap();
        Some(ControlApi { address, explicit })
    };
    for (apisix, expected) in [
        ("", at("127.0.0.1:9090", false)),
        ("enable_control: true", at("127.0.0.1:9090", false)),
        ("enable_control: false", None),
        ("enable_control: false, control: {port: 1}", None),
        ("control: {}", at("127.0.0.1:9090", true)),
        ("control: {port: 0}", at("127.0.0.1:0", true)),
        ("control: {ip: '::1'}", at("[::1]:9090", true)),
        ("control: {ip: 10.1.1.1, port: 80}", at("10.1.1.1:80", true)),
    ] {
        assert_eq!(control(apisix), expected, "{apisix}");
    }
    refused(
        "apisix: {control: {ip: here, port: 65536, prot: 1}}\n",
        &[
            "1:20: apisix.control.ip: expected an IP address",
            "1:30: apisix.control.port: expected 65536 to be at most 65535",
            "1:43: apisix.control.prot: unknown property, did you mean \"port\"?",
        ],
    );
}

#[test]
fn the_number_of_workers_has_several_sources() {
    let workers = |more: &str| with(more).workers.map(NonZeroUsize::get);
    assert_eq!(workers("nginx_config: {worker_processes: auto}\n"), None);
    assert_eq!(
        workers("nginx_config: {worker_processes: 3}\noutrigger: {workers: 2}\n"),
        Some(2)
    );
    assert_eq!(workers("apisix: {enable_dev_mode: true}\n"), Some(1));
}

#[test]
fn listeners_come_in_several_forms() {
    let listens = |value: &str| addresses(&with(&format!("apisix: {{{value}}}\n")));
    assert_eq!(listens("node_listen: 0"), ["0.0.0.0:0"]);
    assert_eq!(listens("node_listen: '${{PORT}}'"), ["0.0.0.0:19080"]);
    assert_eq!(
        listens("node_listen: {ip: 127.0.0.1, port: 81}"),
        ["127.0.0.1:81"]
    );
    assert_eq!(
        listens(
            "node_listen: [80, {port: 81, enable_http2: false}, {ip: '::1'}, {ip: '[::]', port: 0}]"
        ),
        ["0.0.0.0:80", "0.0.0.0:81", "[::1]:9080", "[::]:0"],
    );
    assert_eq!(listens("node_listen: [0, 0]"), ["0.0.0.0:0", "0.0.0.0:0"]);
    assert_eq!(
        listens("enable_ipv6: true, node_listen: [80, {ip: 127.0.0.1, port: 81}]"),
        ["0.0.0.0:80", "[::]:80", "127.0.0.1:81"],
    );
}

#[test]
fn bad_listeners_are_refused() {
    let line = |value: &str| problems(&format!("apisix:\n  node_listen: {value}\n"));
    let wrong = "2:3: apisix.node_listen: ";
    assert_eq!(
        line("65536"),
        [format!("{wrong}expected 65536 to be at most 65535")]
    );
    assert_eq!(
        line("[]"),
        [format!("{wrong}expect array to have at least 1 items")]
    );
    assert_eq!(
        line("x"),
        [format!(
            "{wrong}wrong type: expected port or object, got string"
        )]
    );
    assert_eq!(
        line("[80, x, {prot: 80}, {ip: localhost}, {ip: 0.0.0.0, port: 80}, {enable_http2: true}]"),
        [
            "2:21: apisix.node_listen[1]: wrong type: expected port or object, got string",
            "2:25: apisix.node_listen[2].prot: unknown property, did you mean \"port\"?",
            "2:37: apisix.node_listen[3].ip: expected an IP address",
            "2:53: apisix.node_listen[4]: 0.0.0.0:80 is listened to already",
            "2:78: apisix.node_listen[5]: 0.0.0.0:9080 is listened to already",
        ],
    );
}

#[test]
fn runners_take_what_they_do_not_say_from_the_section() {
    let settings = with(
        "ext-plugin:
  cmd: [./my-runner, run]
  path_for_test: /tmp/x.sock
  timeout: {connect: 100, call: 5000}
  stop_grace: 0
  runners:
    java: {cmd: [java, -jar, r.jar], envs: [JAVA_HOME, K=V=W], timeout: {call: 7}}
    py: {path: run/py.sock, stop_grace: 50}
    go: {path_for_test: 'unix:/run/go.sock'}
nginx_config:
  envs: [MY_ENV_VAR, 'TOKEN=${{SECRET}}']
",
    );
    let default = settings.ext_plugin.default.unwrap();
    assert_eq!(default.name, "default");
    assert_eq!(default.cmd, ["./my-runner", "run"]);
    assert_eq!(default.path.as_deref(), Some(Path::new("/tmp/x.sock")));
    let shared = [
        EnvRule::Pass("MY_ENV_VAR".into()),
        EnvRule::Set("TOKEN".into(), "s3cret".into()),
    ];
    assert_eq!(default.envs, shared);
    let timeout = RunnerTimeout {
        connect: Duration::from_millis(100),
        prepare: Duration::from_secs(60),
        call: Duration::from_secs(5),
    };
    assert_eq!(
        (default.terms.timeout, default.terms.stop_grace),
        (timeout, Duration::ZERO)
    );
    let [java, py, go] = &settings.ext_plugin.named[..] else {
        panic!("three named runners")
    };
    assert_eq!((java.name.as_str(), java.path.as_ref()), ("java", None));
    assert_eq!(java.envs[..2], shared);
    let own = [
        EnvRule::Pass("JAVA_HOME".into()),
        EnvRule::Set("K".into(), "V=W".into()),
    ];
    assert_eq!(java.envs[2..], own);
    let quick = Duration::from_millis(7);
    assert_eq!(
        java.terms.timeout,
        RunnerTimeout {
            call: quick,
            ..timeout
        }
    );
    assert_eq!(
        py.path.as_deref(),
        Some(Path::new("/etc/outrigger/run/py.sock"))
    );
    assert!(py.cmd.is_empty());
    assert_eq!(py.terms.stop_grace, Duration::from_millis(50));
    assert_eq!(go.path.as_deref(), Some(Path::new("/run/go.sock")));
}

#[test]
fn a_runner_has_terms_of_its_own_or_those_of_the_section() {
    let settings = with(
        "ext-plugin:
  cmd: [x]
  instances: 4
  start_timeout: 30000
  max_in_flight: 64
  max_queue: 0
  max_buffered: 32m
  max_rss: 512m
  allowed_uids: [33, 1000]
  breaker: {window: 1000, minimum_calls: 7}
  log: {level: info, file: logs/x.log, max_rate: 10, burst: 20}
  runners:
    same: {cmd: [y]}
    other:
      cmd: [z]
      start_timeout: 1
      max_in_flight: 1
      max_queue: 5
      max_rss: 0
      allowed_uids: []
      breaker: {error_percent: 100, pause: 9}
      log: {level: 'off', max_rate: 50}
    steady: {cmd: [z], breaker: false}
",
    );
    let default = settings.ext_plugin.default.unwrap();
    let terms = RunnerTerms {
        start_timeout: Duration::from_secs(30),
        limits: RunnerLimits {
            in_flight: NonZeroUsize::new(64),
            queue: Some(0),
            buffered: Some(32 << 20),
        },
        breaker: BreakerRule {
            window: Some(Duration::from_secs(1)),
            minimum_calls: Some(7),
            ..BreakerRule::default()
        },
        max_rss: Some(512 << 20),
        allowed_uids: vec![33, 1000],
        log: OutputRule {
            level: OutputLevel::Info,
            max_rate: 10,
            burst: 20,
        },
        ..RunnerTerms::default()
    };
    assert_eq!(default.terms, terms);
    assert_eq!(default.instances, 4);
    let file = Path::new("/etc/outrigger/logs/x.log");
    assert_eq!(default.log_file.as_deref(), Some(file));

    let [same, other, steady] = &settings.ext_plugin.named[..] else {
        panic!("three named runners")
    };
    assert_eq!(same.terms, terms);
    // These are the process's own.
    assert_eq!((same.instances, same.log_file.as_ref()), (1, None));
    let changed = RunnerTerms {
        start_timeout: Duration::from_millis(1),
        limits: RunnerLimits {
            in_flight: NonZeroUsize::new(1),
            queue: Some(5),
            ..terms.limits
        },
        breaker: BreakerRule {
            error_percent: Some(100),
            pause: Some(Duration::from_millis(9)),
            ..terms.breaker
        },
        max_rss: None,
        allowed_uids: Vec::new(),
        log: OutputRule {
            level: OutputLevel::Off,
            max_rate: 50,
            burst: 50,
        },
        ..terms.clone()
    };
    assert_eq!(other.terms, changed);
    assert!(!steady.terms.breaker.enabled);
}

#[test]
fn two_runners_are_not_started_at_one_socket() {
    refused(
        "
ext-plugin:
  cmd: [a]
  path: run/a.sock
  runners:
    same: {cmd: [b], path: run/a.sock}
    other: {cmd: [b], path: run/b.sock}
    another_name: {path: run/b.sock}
",
        &[
            "6:5: ext-plugin.runners.same: its path is that of the runner \"default\" too: \
           give it one of its own, or none",
        ],
    );
}

#[test]
fn bad_terms_are_refused() {
    refused(
        "ext-plugin:
  cmd: [x]
  path: /x.sock
  instances: 2
  start_timeout: 0
  max_in_flight: 0
  max_queue: lots
  max_buffered: 1m
  max_rss: 1.5g
  allowed_uids: [-1, 1, 1]
  breaker: {window: 0, minimum_calls: 0, error_percent: 101, paus: 1}
  log: {level: loud, file: '', max_rate: 0, brust: 1}
  runners:
    a: {cmd: [x], instances: 300, breaker: 5, stop_grase: 1}
",
        &[
            "4:3: ext-plugin.instances: several processes cannot listen at one path: leave the \
             path out, or let it be 1",
            "5:3: ext-plugin.start_timeout: expected 0 to be at least 1",
            "6:3: ext-plugin.max_in_flight: expected 0 to be at least 1",
            "7:3: ext-plugin.max_queue: wrong type: expected integer, got string",
            "8:3: ext-plugin.max_buffered: expected at least 16m: the longest message",
            "9:3: ext-plugin.max_rss: expected a size such as 1024, 8k, 10m or 1g",
            "10:3: ext-plugin.allowed_uids: expected unique items but items 2 and 3 are equal",
            "10:18: ext-plugin.allowed_uids[0]: expected -1 to be at least 0",
            "11:13: ext-plugin.breaker.window: expected 0 to be at least 1",
            "11:24: ext-plugin.breaker.minimum_calls: expected 0 to be at least 1",
            "11:42: ext-plugin.breaker.error_percent: expected 101 to be at most 100",
            "11:62: ext-plugin.breaker.paus: unknown property, did you mean \"pause\"?",
            "12:9: ext-plugin.log.level: expected one of \"trace\", \"debug\", \"info\", \
             \"warn\", \"error\", \"off\"",
            "12:22: ext-plugin.log.file: expected a path",
            "12:32: ext-plugin.log.max_rate: expected 0 to be at least 1",
            "12:45: ext-plugin.log.brust: unknown property, did you mean \"burst\"?",
            "14:19: ext-plugin.runners.a.instances: expected 300 to be at most 256",
            "14:35: ext-plugin.runners.a.breaker: wrong type: expected boolean or object, got \
             number",
            "14:47: ext-plugin.runners.a.stop_grase: unknown property, did you mean \
             \"stop_grace\"?",
        ],
    );
}

#[test]
fn bad_runners_are_refused() {
    refused(
        "ext-plugin:
  cmd: []
  timeout: {connect: 0, cal: 5}
  stop_grace: -1
  runners:
    default: {cmd: [x]}
    a b: {cmd: [x]}
    none: {}
    both: {path: /a, path_for_test: /b}
    bad: {cmd: ['', 5], cmdd: x}
    'null': {cmd: [\"x\\0\"]}
",
        &[
            "2:3: ext-plugin.cmd: expect array to have at least 1 items",
            "3:13: ext-plugin.timeout.connect: expected 0 to be at least 1",
            "3:25: ext-plugin.timeout.cal: unknown property, did you mean \"call\"?",
            "4:3: ext-plugin.stop_grace: expected -1 to be at least 0",
            "6:5: ext-plugin.runners.default: this name is that of the runner given by \
             ext-plugin.cmd",
            "7:5: ext-plugin.runners[\"a b\"]: a runner's name has 1 to 64 of the characters \
             a-z A-Z 0-9 - _ .",
            "8:5: ext-plugin.runners.none: property \"cmd\" or \"path\" is required",
            "9:12: ext-plugin.runners.both.path: expected either \"path\" or \"path_for_test\", \
             got both",
            "10:11: ext-plugin.runners.bad.cmd: the command must not be empty",
            "10:21: ext-plugin.runners.bad.cmd[1]: wrong type: expected string, got number",
            "10:25: ext-plugin.runners.bad.cmdd: unknown property, did you mean \"cmd\"?",
            "11:20: ext-plugin.runners.null.cmd[0]: must not contain a NUL",
        ],
    );
}

#[test]
fn bad_rules_for_the_environment_are_refused() {
    refused(
        "nginx_config:\n  envs: ['=x', A, A=1, APISIX_LISTEN_ADDRESS, 5, 'A B']\n",
        &[
            "2:10: nginx_config.envs[0]: expected NAME or NAME=value",
            "2:19: nginx_config.envs[2]: there is a rule for A already",
            "2:24: nginx_config.envs[3]: APISIX_LISTEN_ADDRESS is set by the gateway itself",
            "2:47: nginx_config.envs[4]: wrong type: expected string, got number",
            "2:50: nginx_config.envs[5]: expected NAME or NAME=value",
        ],
    );
}

#[test]
fn misspelt_keys_are_told_their_nearest() {
    refused(
        "apsix: {}\next_plugin: {}\nnginx_config:\n  http: {client_max_body: 1}\n  worker_process: 1\n",
        &[
            "1:1: apsix: unknown property, did you mean \"apisix\"?",
            "2:1: ext_plugin: unknown property, did you mean \"ext-plugin\"?",
            "4:10: nginx_config.http.client_max_body: unknown property, did you mean \
             \"client_max_body_size\"?",
            "5:3: nginx_config.worker_process: unknown property, did you mean \
             \"worker_processes\"?",
        ],
    );
    refused("zzz: 1\n", &["1:1: zzz: unknown property"]);
}

#[test]
fn values_of_a_wrong_kind_are_refused() {
    refused(
        "apisix: [1]
nginx_config:
  worker_processes: many
  worker_shutdown_timeout: soon
  http: {client_max_body_size: -1, client_header_timeout: 0, keepalive_timeout: 60s 50s,
         large_client_header_buffers: 8k, send_timeout: [], client_body_timeout: 99y}
plugins: proxy-rewrite
outrigger: {workers: 0, data_dir: '', runtime_dir: 5, body_memory: lots}
",
        &[
            "1:1: apisix: wrong type: expected object, got array",
            "3:3: nginx_config.worker_processes: wrong type: expected integer, got string",
            "4:3: nginx_config.worker_shutdown_timeout: expected a time such as 60, 60s, 500ms \
             or 1h30m",
            "5:10: nginx_config.http.client_max_body_size: expected a size such as 1024, 8k, \
             10m or 1g",
            "5:36: nginx_config.http.client_header_timeout: expected a time greater than 0",
            "5:62: nginx_config.http.keepalive_timeout: expected a time such as 60, 60s, 500ms \
             or 1h30m",
            "6:10: nginx_config.http.large_client_header_buffers: expected a number and a size \
             such as \"4 8k\", together at most 16m",
            "6:43: nginx_config.http.send_timeout: wrong type: expected time, got array",
            "6:61: nginx_config.http.client_body_timeout: expected at most 31536000 s",
            "7:1: plugins: wrong type: expected array, got string",
            "8:13: outrigger.workers: expected 0 to be at least 1",
            "8:25: outrigger.data_dir: expected a path",
            "8:39: outrigger.runtime_dir: wrong type: expected string, got number",
            "8:55: outrigger.body_memory: expected a size such as 1024, 8k, 10m or 1g",
        ],
    );
}

#[test]
fn resources_come_from_a_store_or_from_apisix_yaml() {
    let source = |text: &str| {
        read(text)
            .unwrap_or_else(|report| panic!("{report}"))
            .source
    };
    for text in [
        "",
        "deployment: {admin: {}}",
        "deployment: {role: traditional, role_traditional: {config_provider: etcd}}",
    ] {
        assert_eq!(source(text), Source::Store, "{text}");
    }
    let memory = "deployment: {role_traditional: {config_provider: yaml}}";
    assert_eq!(source(memory), Source::Memory);
    let path = PathBuf::from("/etc/outrigger/apisix.yaml");
    let format = Format::Yaml;
    assert_eq!(source(DEPLOYMENT), Source::File { path, format });
    let path = PathBuf::from("/etc/outrigger/apisix.json");
    let format = Format::Json;
    let json = "deployment: {role: data_plane, role_data_plane: {config_provider: json}}";
    assert_eq!(source(json), Source::File { path, format });
    let instead = "use `role: traditional`, with an Admin API and a store of its own; or \
                   `role: data_plane` and `role_data_plane: {config_provider: yaml}`, and \
                   write the resources into apisix.yaml beside this file; or set \
                   `deployment.etcd`, and share an etcd with other gateways";
    let said = |text: &str| {
        let report = read(text).expect_err("a report").to_string();
        report
            .replace("/etc/outrigger/config.yaml:", "")
            .replace(instead, "INSTEAD")
    };
    for (text, expected) in [
        (
            "deployment:\n  role: control_plane\n  admin: {}\n",
            "2:3: deployment.role: deployment.etcd is required for this: say where etcd is, such \
             as `etcd: {host: [\"http://127.0.0.1:2379\"]}`",
        ),
        (
            "deployment:\n  role: data_plane\n  role_data_plane:\n    config_provider: etcd\n",
            "3:3: deployment.role_data_plane: deployment.etcd is required for this: say where \
             etcd is, such as `etcd: {host: [\"http://127.0.0.1:2379\"]}`",
        ),
        (
            "deployment: {role_traditional: {config_provider: xds}}",
            "1:14: deployment.role_traditional: the provider \"xds\" is not available yet with \
             this role: INSTEAD",
        ),
        (
            "deployment: {role: data_plane}",
            "1:1: deployment: a config_provider is required: INSTEAD",
        ),
        (
            "deployment: {role: dataplane, admin: {}, etcd: {}}",
            "1:14: deployment.role: expected one of \"traditional\", \"control_plane\", \
             \"data_plane\", \"standalone\", did you mean \"data_plane\"?",
        ),
    ] {
        assert_eq!(said(text), expected, "{text}");
    }
}

/// The settings of the etcd that `text` names.
fn etcd(text: &str) -> EtcdSettings {
    let settings = read(text).unwrap_or_else(|report| panic!("{report}"));
    match settings.source {
        Source::Etcd(etcd) => *etcd,
        other => panic!("{other:?}"),
    }
}

#[test]
fn etcd_is_the_store_where_it_is_named() {
    let least = etcd("deployment: {etcd: {host: ['http://127.0.0.1:2379']}}");
    assert_eq!(least.hosts[0].url(), "http://127.0.0.1:2379");
    assert_eq!((&*least.prefix, least.startup_retry), ("/apisix", 2));
    let times = [
        least.timeout,
        least.rest,
        least.resync_delay,
        least.watch_timeout,
    ];
    assert_eq!(times.map(|time| time.as_secs()), [30, 10, 5, 50]);
    assert!(least.user.is_none() && least.tls.verify && least.tls.identity.is_none());

    let all = etcd(
        "deployment:
  role: data_plane
  role_data_plane: {config_provider: etcd}
  etcd:
    host: ['https://a.test', 'http://[::1]:1/']
    prefix: /blue
    timeout: 3
    startup_retry: 7
    health_check_timeout: 4
    resync_delay: 0
    watch_timeout: 9
    user: root
    password: ${{PORT}}
    tls: {verify: false, sni: etcd.test}
",
    );
    let hosts: Vec<_> = all.hosts.iter().map(EtcdHost::url).collect();
    assert_eq!(hosts, ["https://a.test:2379", "http://[::1]:1"]);
    let user = all.user.expect("a user");
    // A password of digits is a text still.
    assert_eq!((&*user.name, &*user.password), ("root", "19080"));
    assert!(!all.tls.verify);
    assert_eq!(all.tls.sni.as_deref(), Some("etcd.test"));
}

#[test]
fn a_control_plane_serves_no_requests() {
    let etcd = "etcd: {host: ['http://127.0.0.1:2379']}";
    let settings = read(&format!(
        "deployment: {{role: control_plane, role_control_plane: {{config_provider: etcd}}, {etcd}}}"
    ));
    let settings = settings.unwrap_or_else(|report| panic!("{report}"));
    assert!(settings.listens.is_empty() && settings.admin.is_some());
    let settings = read(&format!(
        "deployment: {{role: data_plane, role_data_plane: {{config_provider: etcd}}, {etcd}}}"
    ));
    let settings = settings.unwrap_or_else(|report| panic!("{report}"));
    assert!(!settings.listens.is_empty() && settings.admin.is_none());
}

#[test]
fn what_is_wrong_with_etcd_is_said_without_its_password() {
    let report = read(
        "deployment:
  etcd:
    host: ['127.0.0.1:2379', 'http://u:s3cret@a', 'http://a/b', 'ftp://a', 5]
    prefix: 'a b'
    timeout: 0
    startup_retry: 0
    resync_delay: -1
    password: s3cret
    tls: {cert: gone.pem, sni: 'a b', verify: 7}
    pasword: x
",
    );
    let said = report.expect_err("a report").to_string();
    let said: Vec<_> = said
        .lines()
        .map(|line| line.trim_start_matches("/etc/outrigger/config.yaml:"))
        .collect();
    assert_eq!(
        said,
        [
            "3:12: deployment.etcd.host[0]: expected a URL such as http://127.0.0.1:2379",
            "3:30: deployment.etcd.host[1]: credentials do not belong into the URL: set user and \
             password",
            "3:51: deployment.etcd.host[2]: expected a URL without a path, such as \
             http://127.0.0.1:2379",
            "3:65: deployment.etcd.host[3]: expected a URL such as http://127.0.0.1:2379",
            "3:76: deployment.etcd.host[4]: wrong type: expected string, got number",
            "4:5: deployment.etcd.prefix: expected a prefix of keys such as /apisix, of at most \
             512 bytes",
            "5:5: deployment.etcd.timeout: expected 0 to be at least 1",
            "6:5: deployment.etcd.startup_retry: expected 0 to be at least 1",
            "7:5: deployment.etcd.resync_delay: expected -1 to be at least 0",
            "8:5: deployment.etcd.password: user and password are required together",
            "9:11: deployment.etcd.tls.cert: cert and key are required together",
            "9:27: deployment.etcd.tls.sni: expected the name of a host",
            "9:39: deployment.etcd.tls.verify: wrong type: expected boolean, got number",
            "10:5: deployment.etcd.pasword: unknown property, did you mean \"password\"?",
        ]
    );
}

#[test]
fn the_admin_api_is_for_this_machine_and_needs_a_key() {
    let admin = |text: &str| read(text).unwrap_or_else(|report| panic!("{report}")).admin;
    let default = admin("").unwrap();
    assert_eq!(default.listen, "127.0.0.1:9180".parse().unwrap());
    assert!(default.keys.is_empty() && default.key_required && default.cors);
    let allowed: Vec<_> = default.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["127.0.0.0/24", "::1/128"]);
    assert_eq!(admin("apisix: {enable_admin: false}"), None);
    assert_eq!(admin(DEPLOYMENT), None);
    let admin = admin(
        "deployment:
  admin:
    admin_key_required: true
    admin_key:
      - {name: admin, key: s3cret, role: admin}
      - {name: look, key: other, role: viewer}
      - {name: none, key: '', role: admin}
    enable_admin_cors: false
    enable_admin_ui: false
    allow_admin: [10.0.0.0/8]
    admin_listen: {ip: 0.0.0.0, port: 0}
    https_admin: false
    admin_api_version: v3
",
    )
    .unwrap();
    assert_eq!(admin.listen, "0.0.0.0:0".parse().unwrap());
    let roles: Vec<_> = admin
        .keys
        .iter()
        .map(|key| (&key.key[..], key.role))
        .collect();
    assert_eq!(
        roles,
        [("s3cret", AdminRole::Admin), ("other", AdminRole::Viewer)]
    );
    assert!(!admin.cors && !format!("{admin:?}").contains("s3cret"));
    let report =
        read("deployment: {admin: {admin_key: [{key: a b}, {role: boss}], https_admin: true}}");
    let report = report.expect_err("a report").to_string();
    let said: Vec<_> = report
        .lines()
        .map(|line| line.replace("/etc/outrigger/config.yaml:", ""))
        .collect();
    assert_eq!(
        said,
        [
            "1:35: deployment.admin.admin_key[0].key: expected a key without spaces and control \
             characters",
            "1:46: deployment.admin.admin_key[1]: property \"key\" is required",
            "1:47: deployment.admin.admin_key[1].role: expected one of \"admin\", \"viewer\"",
            "1:61: deployment.admin.https_admin: needs admin_api_mtls.admin_ssl_cert and \
             admin_ssl_cert_key",
        ]
    );
}

#[test]
fn what_would_be_missed_is_refused_unless_it_is_off() {
    refused(
        "apisix:
  ssl: {listen: [{port: 9443, enable_http3: true}], key_encrypt_salt: x}
  proxy_protocol: {listen_http_port: 9181}
  proxy_mode: http&stream
  stream_proxy: {tcp: [9100]}
  lua_module_hook: a.b
nginx_config:
  http: {real_ip_header: proxy_protocol, real_ip_recursive: 'yes',
         real_ip_from: [127.0.0.1, a.test]}
discovery: {dns: {}}
wasm: {plugins: []}
xrpc: {protocols: []}
etcd: {host: []}
",
        &[
            "2:31: apisix.ssl.listen[0].enable_http3: HTTP/3 is not supported: set it to false",
            "2:53: apisix.ssl.key_encrypt_salt: this key of APISIX 2 is not supported: see \
             `apisix.data_encryption`",
            "3:3: apisix.proxy_protocol: the PROXY protocol is not supported yet: remove it",
            "4:3: apisix.proxy_mode: there is no stream proxy: use \"http\"",
            "5:3: apisix.stream_proxy: there is no stream proxy: remove it",
            "6:3: apisix.lua_module_hook: no Lua runs here: use a plugin, in any language, \
             through a runner",
            "8:10: nginx_config.http.real_ip_header: the PROXY protocol is not supported yet: \
             name a header",
            "8:42: nginx_config.http.real_ip_recursive: expected one of \"on\", \"off\"",
            "9:36: nginx_config.http.real_ip_from[1]: expected an IP address or a range such as \
             10.0.0.0/8",
            "10:1: discovery: service discovery is not supported yet: give upstreams nodes",
            "11:1: wasm: WebAssembly plugins are not supported: use a runner",
            "12:1: xrpc: xRPC is not supported: remove it",
            "13:1: etcd: this key of APISIX 2 is not supported: see `deployment`",
        ],
    );
    let settings = with(
        "apisix: {ssl: {enable: false, listen: [{port: 9443}]}, proxy_mode: http,
  delete_uri_tail_slash: false, stream_proxy: {}, lua_module_hook: '', proxy_protocol: }
discovery:\nwasm: {}\n",
    );
    assert_eq!(settings.notes, [""; 0]);
}

#[test]
fn what_has_no_effect_is_noted_with_its_line() {
    let settings = with(
        "apisix:
  lru: {secret: {ttl: 1}}
  enable_reuseport: false
  dns_resolver: [1.1.1.1]
  extra_lua_path: ''
nginx_config:
  error_log: logs/error.log
  http_configuration_snippet: |
    # only a comment
  http_server_configuration_snippet: |
    deny all;
  http:
    real_ip_header: X-Real-IP
    real_ip_from: ['unix:']
",
    );
    let notes: Vec<_> = settings
        .notes
        .iter()
        .map(|note| note.replace("/etc/outrigger/", ""))
        .collect();
    assert_eq!(
        notes,
        [
            "config.yaml:5:3: apisix.lru: has no effect: no secrets are fetched",
            "config.yaml:6:3: apisix.enable_reuseport: only nginx needs this; it has no effect here",
            "config.yaml:7:3: apisix.dns_resolver: has no effect: names are resolved as the \
             system does",
            "config.yaml:10:3: nginx_config.error_log: has no effect: the log goes to standard \
             error",
            "config.yaml:13:3: nginx_config.http_server_configuration_snippet: its nginx \
             directives have no effect here, whatever they allow or forbid",
            "config.yaml:16:5: nginx_config.http.real_ip_header: has no effect: real_ip_from \
             names no proxy",
        ],
    );
}

/// Every key of APISIX's own defaults is known: a file that spells them all out is
/// accepted once TLS and etcd are taken out of it.
#[test]
fn a_file_with_all_of_apisix_defaults_is_accepted() {
    let text = include_str!("data/apisix-defaults.yaml");
    let settings = read(text).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(addresses(&settings), ["0.0.0.0:9080", "[::]:9080"]);
    assert_eq!(settings.client, with("").client);
    assert_eq!(settings.shutdown_timeout, with("").shutdown_timeout);
    assert!(settings.notes.len() > 20);
}

#[test]
fn proxies_are_believed_about_their_clients_where_they_are_named() {
    let http = |more: &str| with(&format!("nginx_config: {{http: {{{more}}}}}\n")).real_ip;
    assert_eq!(http(""), None);
    assert_eq!(http("real_ip_header: X-Forwarded-For"), None);
    let named = http("real_ip_from: [127.0.0.1, 'unix:']").unwrap();
    assert_eq!(
        (named.header.as_str(), named.recursive),
        ("x-real-ip", false)
    );
    assert_eq!(named.from, ["127.0.0.1".parse().unwrap()]);
    let more = "real_ip_from: ['10.0.0.0/8'], real_ip_header: X-Forwarded-For, \
                real_ip_recursive: 'on'";
    let named = http(more).unwrap();
    assert_eq!(
        (named.header.as_str(), named.recursive),
        ("x-forwarded-for", true)
    );
}

#[test]
fn there_is_an_access_log_where_it_is_spoken_of() {
    let http = |more: &str| with(&format!("nginx_config: {{http: {{{more}}}}}\n")).access_log;
    let default = http("enable_access_log: true").unwrap();
    assert_eq!(default.path, Path::new("/etc/outrigger/logs/access.log"));
    assert!(default.format.starts_with("$remote_addr - $remote_user ["));
    assert_eq!((default.escape, default.buffer), (Escape::Default, 16_384));
    let all = "access_log: /dev/stdout, access_log_format: $uri, \
               access_log_format_escape: json, access_log_buffer: 1k";
    let expected = AccessLog {
        path: "/dev/stdout".into(),
        format: "$uri".into(),
        escape: Escape::Json,
        buffer: 1024,
    };
    assert_eq!(http(all).unwrap(), expected);
    for one in [
        "access_log: a/b",
        "access_log_format: x",
        "access_log_format_escape: none",
        "access_log_buffer: 0",
    ] {
        assert!(http(one).is_some(), "{one}");
    }
    for none in [
        "",
        "enable_access_log: false, access_log: a",
        "access_log: 'off'",
        "enable_access_log: true, access_log: 'off'",
    ] {
        assert_eq!(http(none), None, "{none}");
    }
    refused(
        "nginx_config:\n  http:\n    access_log: syslog:server=a\n    \
         access_log_format_escape: xml\n    access_log_buffer: 2m\n",
        &[
            "3:5: nginx_config.http.access_log: syslog is not supported: \
             name a file, or /dev/stdout",
            "4:5: nginx_config.http.access_log_format_escape: expected one of \
             \"default\", \"json\", \"none\"",
            "5:5: nginx_config.http.access_log_buffer: expected at most 1048576 bytes",
        ],
    );
}

#[test]
fn a_file_is_read_from_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    fs::write(&path, DEPLOYMENT).unwrap();
    let settings = Settings::load(&path, &env).unwrap();
    assert_eq!(settings.folder, folder.path());
    let absent = folder.path().join("none.yaml");
    let report = Settings::load(&absent, &env).unwrap_err().to_string();
    let expected = "cannot be read: No such file or directory (os error 2)";
    assert_eq!(report, format!("{}: {expected}", absent.display()));
}

#[test]
fn what_is_no_yaml_or_lacks_a_variable_is_refused() {
    refused("a: 'x\n", &["1:4: not valid YAML: unclosed quote"]);
    refused(
        "apisix: {node_listen: '${{NONE}}'}\n",
        &["1:10: apisix.node_listen: the environment variable NONE is not set"],
    );
    // What follows from it is not told, and what is wrong besides is.
    refused(
        "apisix: {node_listen: '${{NONE}}', enable_adminn: true, id: '${{NOBODY}}-1'}\n",
        &[
            "1:10: apisix.node_listen: the environment variable NONE is not set",
            "1:36: apisix.enable_adminn: unknown property, did you mean \"enable_admin\"?",
            "1:57: apisix.id: the environment variable NOBODY is not set",
        ],
    );
    refused(
        "5\n",
        &["2:11: not valid YAML: mapping values are not allowed in this context"],
    );
}

#[test]
fn no_secret_is_shown() {
    let settings = with("nginx_config: {envs: ['TOKEN=${{SECRET}}']}\next-plugin: {cmd: [x]}\n");
    let shown = format!("{settings:?}");
    assert!(
        shown.contains("TOKEN") && !shown.contains("s3cret"),
        "{shown}"
    );
    for text in [
        "deployment: s3cret\n",
        "deployment: {role: s3cret, admin: {admin_key: s3cret}, role_data_plane: {config_provider: s3cret}}\n",
        "nginx_config: {envs: ['s3cret s3cret=s3cret', '=s3cret', APISIX_LISTEN_ADDRESS=s3cret]}\n",
        "apisix: {data_encryption: {keyring: [s3cret]}, node_listen: s3cret, trusted_addresses: [s3cret]}\n",
        "ext-plugin: {cmd: s3cret, timeout: s3cret}\n",
        "deployment: {etcd: {host: [s3cret], user: s3cret, password: [s3cret]}}\n",
    ] {
        let report = read(text).expect_err("a report");
        assert!(
            !format!("{report} {report:?}").contains("s3cret"),
            "{report}"
        );
    }
}

/// A folder with a certificate, its key and a file that is neither.
fn folder_of_certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["a.test".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("it is signed");
    let write = |name: &str, text: String| {
        fs::write(folder.path().join(name), text).expect("it is written");
    };
    write("cert.pem", certificate.pem());
    write("key.pem", key.serialize_pem());
    write("none.pem", "text".to_owned());
    folder
}

/// The Admin API of `admin` beside such files.
fn admin_of(admin: &str) -> Result<Settings, String> {
    let folder = folder_of_certificates();
    let path = folder.path().join("config.yaml");
    let text = format!("deployment: {{role: traditional, admin: {{{admin}}}}}\n");
    let settings = Settings::parse(&text, &path, &|_| None);
    let prefix = format!("{}/", folder.path().display());
    settings.map_err(|report| report.to_string().replace(&prefix, ""))
}

#[test]
fn the_admin_api_speaks_tls_with_files() {
    let files = "admin_ssl_cert: cert.pem, admin_ssl_cert_key: key.pem";
    let tls = |more: &str| {
        let admin = format!("https_admin: true, admin_api_mtls: {{{files}{more}}}");
        admin_of(&admin).unwrap().admin.unwrap().tls.unwrap()
    };
    assert_eq!(tls("").identity.chain().len(), 1);
    assert_eq!(tls(", admin_ssl_ca_cert: ''").authorities, None);
    let authorities = tls(", admin_ssl_ca_cert: cert.pem").authorities;
    assert_eq!(authorities.map(|authorities| authorities.len()), Some(1));
    let off = admin_of(&format!("admin_api_mtls: {{{files}}}")).unwrap();
    assert_eq!(off.admin.unwrap().tls, None);
    assert_eq!(off.notes.len(), 1, "{:?}", off.notes);
    let defaults = "admin_api_mtls: {admin_ssl_cert: '', admin_ssl_cert_key: ''}";
    assert_eq!(admin_of(defaults).unwrap().notes, [""; 0]);
}

#[test]
fn what_the_admin_api_lacks_for_tls_is_named() {
    let place = "config.yaml:1:38: deployment.admin";
    for (admin, message) in [
        (
            "https_admin: true",
            ".https_admin: needs admin_api_mtls.admin_ssl_cert",
        ),
        (
            "https_admin: true, admin_api_mtls: {admin_ssl_cert_key: key.pem}",
            ".admin_api_mtls: property \"admin_ssl_cert\" is required with https_admin",
        ),
        (
            "https_admin: true, admin_api_mtls: {admin_ssl_cert: no.pem, admin_ssl_cert_key: key.pem}",
            ".admin_api_mtls.admin_ssl_cert: no.pem: No such file",
        ),
        (
            "https_admin: true, admin_api_mtls: {admin_ssl_cert: none.pem, admin_ssl_cert_key: key.pem}",
            ".admin_api_mtls.admin_ssl_cert: none.pem: expected a certificate in PEM",
        ),
        (
            "https_admin: true, admin_api_mtls: {admin_ssl_cert: cert.pem, admin_ssl_cert_key: none.pem}",
            ".admin_api_mtls.admin_ssl_cert_key: none.pem: expected a private key in PEM",
        ),
    ] {
        let report = admin_of(admin).unwrap_err();
        let place = place.split_once(": ").unwrap().1;
        assert!(report.contains(&format!("{place}{message}")), "{report}");
    }
}

#[test]
fn tls_to_clients_is_as_apisix_has_it() {
    let tls = |ssl: &str| {
        with(&format!(
            "apisix: {{ssl: {{listen: [{{port: 9443}}], {ssl}}}}}\n"
        ))
    };
    let settings = tls("");
    let listens: Vec<_> = settings
        .listens
        .iter()
        .map(|it| (it.address.port(), it.tls))
        .collect();
    assert_eq!(listens, [(9080, false), (9443, true)]);
    assert!(settings.listens.iter().all(|listen| listen.http2));
    assert_eq!(settings.client_tls, outrigger_config::ClientTls::default());
    let settings = tls(
        "ssl_protocols: TLSv1.1 TLSv1.3, fallback_sni: A.Test, ssl_session_tickets: true,
         ssl_ciphers: 'ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256'",
    );
    let of_clients = &settings.client_tls;
    assert_eq!(of_clients.protocols, [outrigger_model::TlsVersion::Tls13]);
    assert_eq!(of_clients.ciphers, ["ECDHE-RSA-AES128-GCM-SHA256"]);
    assert_eq!(of_clients.fallback_sni.as_deref(), Some("a.test"));
    assert!(of_clients.session_tickets);
    assert_eq!(settings.notes.len(), 2, "{:?}", settings.notes);
    assert!(settings.notes[1].contains("names of suites: DHE-RSA-AES128-GCM-SHA256"));
    let off = with("apisix: {ssl: {enable: false, listen: [{port: 9443}]}, enable_http2: false}\n");
    assert_eq!(off.listens.len(), 1);
    assert!(!off.listens[0].http2);
    refused(
        "apisix: {ssl: {listen: [9080, {port: 9443, prot: 1}], ssl_protocols: TLSv1.4, fallback_sni: '*.a'}}\n",
        &[
            "1:25: apisix.ssl.listen[0]: 0.0.0.0:9080 is listened to already",
            "1:44: apisix.ssl.listen[1].prot: unknown property, did you mean \"port\"?",
            "1:55: apisix.ssl.ssl_protocols: there is no version of TLS called \"TLSv1.4\"",
            "1:55: apisix.ssl.ssl_protocols: expected TLSv1.2, TLSv1.3 or both, with a space between them",
            "1:79: apisix.ssl.fallback_sni: expected the name of a host",
        ],
    );
}
