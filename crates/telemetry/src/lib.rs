//! Logs of the gateway; metrics and traces belong here.
