//! The messages and services that `proto/tessera/v1/*.proto` define, as generated code.
//!
//! `tests/codegen.rs` keeps it current.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    clippy::large_futures,
    reason = "generated code keeps its generator's style"
)]

include!("wire/tessera.v1.rs");

/// The service that KEDA asks, in KEDA's own package.
pub mod externalscaler {
    include!("wire/externalscaler.rs");
}

/// The descriptor set of all our services, for gRPC reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!("wire/tessera.v1.descriptor.bin");
