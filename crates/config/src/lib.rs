//! Configuration sources: `config.yaml`, and `apisix.yaml` or `apisix.json`.
//!
//! [`Settings`] is `config.yaml`, read once into values that are valid; [`Watch`] is
//! the file of resources, read whenever it changes into resources of the model. Whatever is
//! wrong with either comes as a [`Report`] of all problems, each with file,
//! line, column and property.
//!
//! This crate deliberately applies nothing: it opens no socket, starts no process, writes no
//! log line, and does not know what plugins' configurations mean. The environment
//! is passed in ([`Env`]).

pub mod apisix_yaml;
pub mod limits;
pub mod portable;
pub mod references;
pub mod store;

mod env;
mod json;
mod report;
mod settings;
mod tree;
mod watch;
mod way;
mod yaml;

pub use apisix_yaml::{Document, Format};
pub use env::Env;
pub use report::{Location, Problem, Report};
pub use settings::{
    AccessLog, AdminApi, AdminKey, AdminRole, AdminTls, BreakerRule, ClientLimits, ClientTls,
    ControlApi, DataEncryption, EnvRule, Escape, EtcdHost, EtcdSettings, EtcdTls, EtcdUser,
    ExtPlugin, Listen, LogLevel, MetricsExport, OutputLevel, OutputRule, RealIp, Router,
    RunnerLimits, RunnerSettings, RunnerTerms, RunnerTimeout, Settings, Source, Tracing,
};
pub use watch::{Change, Watch, read_all, read_file};
