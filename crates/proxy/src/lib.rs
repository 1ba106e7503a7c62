//! Listeners, workers and upstream connections: HTTP in and out.
