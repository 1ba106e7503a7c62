//! Routes, services and upstreams, parsed once into types that are valid.
