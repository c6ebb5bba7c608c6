//! End-to-end tests: the real program in processes of its own, on loopback, beside golden values and under faults.

mod bad_input;
mod canvas_8k;
mod cluster;
mod compare;
mod durable;
mod exact;
mod faults;
mod formats;
mod halves;
mod host;
mod image_input;
mod interrupt;
mod metadata;
mod overhead;
mod parity;
mod plan;
mod same_bytes;
mod security;
mod services;
mod sizes;
mod telemetry;
mod tidy;
mod trace;
mod upscale;
mod windows;
