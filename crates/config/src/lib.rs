//! Configuration sources: config.yaml and apisix.yaml.
