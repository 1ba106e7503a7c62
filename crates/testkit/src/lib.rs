//! In-memory counterparts for tests of plugins and of hosts: a fake host and a fake runner.
