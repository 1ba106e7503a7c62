//! The plugin runner's process: spawn, environment, output, respawn, stop.
