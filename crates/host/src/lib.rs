//! The gateway's side of a plugin runner: calls, connections, conf tokens.
