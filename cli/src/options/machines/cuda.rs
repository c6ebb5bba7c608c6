//! NVIDIA GPUs that an ONNX Runtime library could use: the library and the driver's list in, a count out.
//!
//! It only chooses between GPUs and CPU for `--workers auto`; whether a device really works is found out, and said, by
//! the worker that opens it.

use tessera_worker::engine::{DeviceSpec, OnnxEngine, Options, Runtime};

/// One folder per GPU, kept by NVIDIA's Linux driver.
const DRIVER: &str = "/proc/driver/nvidia/gpus";

/// GPUs for this library; `visible` is `$CUDA_VISIBLE_DEVICES`, which hides the others from every process.
pub(super) fn devices(runtime: Runtime, visible: Option<&str>) -> u32 {
    let device = DeviceSpec::Cuda { card: 0 };
    if OnnxEngine::new(runtime, Options { device, fuse: true }).is_err() {
        return 0;
    }
    let present = std::fs::read_dir(DRIVER).map_or(0, Iterator::count);
    seen(u32::try_from(present).unwrap_or(0), visible)
}

/// How many of `present` GPUs the variable leaves: the list ends at its first invalid entry, as CUDA reads it.
fn seen(present: u32, visible: Option<&str>) -> u32 {
    let Some(list) = visible else { return present };
    let named =
        list.split(',').map(str::trim).take_while(|entry| !entry.is_empty() && *entry != "-1").count();
    present.min(u32::try_from(named).unwrap_or(present))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_hides_devices() {
        assert_eq!(seen(4, None), 4);
        assert_eq!(seen(4, Some("2,3")), 2);
        assert_eq!(seen(4, Some("")), 0);
        assert_eq!(seen(4, Some("0,-1,1")), 1);
        assert_eq!(seen(1, Some("0,1")), 1);
    }
}
