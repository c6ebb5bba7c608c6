//! ONNX Runtime's drivers for devices ("execution providers"): a device in, the ones to register out.

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};

use super::super::{DeviceSpec, Error, Runtime};

/// What runs a device's networks.
pub(super) struct Provider {
    /// In order of preference; each must register, none is optional.
    pub(super) chain: Vec<ExecutionProviderDispatch>,
    /// Whether it runs `com.microsoft.MultiHeadAttention`. The others would hand each attention to the processor;
    /// they find the exported spelling themselves and replace it by their own.
    pub(super) has_attention: bool,
}

/// The drivers for a device, after checking that the library has them: ONNX Runtime itself would fall back to the
/// processor without a word.
///
/// # Errors
/// [`Error::Provider`] names what is missing and what is there.
pub(super) fn of(runtime: &Runtime, device: DeviceSpec) -> Result<Provider, Error> {
    if matches!(device, DeviceSpec::Simulated { .. }) {
        return Err(Error::Device { device, reason: "it is simulated and runs no graphs".to_owned() });
    }
    if let Some((provider, _)) = needed(device).into_iter().find(|(_, present)| !present) {
        let library = runtime.path().display().to_string();
        return Err(Error::Provider { device, provider, library, offered: offered().join(", ") });
    }
    let chain = chain(device).into_iter().map(ExecutionProviderDispatch::error_on_failure).collect();
    let has_attention = match device {
        DeviceSpec::Cpu { .. } | DeviceSpec::Cuda { .. } | DeviceSpec::DirectMl { .. } => true,
        DeviceSpec::Rocm { .. } => has::<ep::ROCm>(),
        DeviceSpec::TensorRt { .. }
        | DeviceSpec::CoreMl
        | DeviceSpec::OpenVino
        | DeviceSpec::Simulated { .. } => false,
    };
    Ok(Provider { chain, has_attention })
}

/// ONNX Runtime's names of what a device needs, and whether this library has each.
fn needed(device: DeviceSpec) -> Vec<(&'static str, bool)> {
    match device {
        DeviceSpec::Cpu { .. } | DeviceSpec::Simulated { .. } => Vec::new(),
        DeviceSpec::Cuda { .. } => vec![named::<ep::CUDA>()],
        DeviceSpec::TensorRt { .. } => vec![named::<ep::TensorRT>(), named::<ep::CUDA>()],
        // ROCm's own driver was replaced by MIGraphX; libraries have one or the other.
        DeviceSpec::Rocm { .. } if has::<ep::ROCm>() => Vec::new(),
        DeviceSpec::Rocm { .. } => vec![named::<ep::MIGraphX>()],
        DeviceSpec::DirectMl { .. } => vec![named::<ep::DirectML>()],
        DeviceSpec::CoreMl => vec![named::<ep::CoreML>()],
        DeviceSpec::OpenVino => vec![named::<ep::OpenVINO>()],
    }
}

/// What is registered for a device, the processor last.
fn chain(device: DeviceSpec) -> Vec<ExecutionProviderDispatch> {
    let mut chain = match device {
        DeviceSpec::Cpu { .. } | DeviceSpec::Simulated { .. } => Vec::new(),
        DeviceSpec::Cuda { card } => vec![cuda(card)],
        DeviceSpec::TensorRt { card } => {
            vec![ep::TensorRT::default().with_device_id(number(card)).build(), cuda(card)]
        }
        DeviceSpec::Rocm { card } if has::<ep::ROCm>() => {
            vec![ep::ROCm::default().with_device_id(number(card)).build()]
        }
        DeviceSpec::Rocm { card } => vec![ep::MIGraphX::default().with_device_id(number(card)).build()],
        DeviceSpec::DirectMl { card } => vec![ep::DirectML::default().with_device_id(number(card)).build()],
        DeviceSpec::CoreMl => vec![ep::CoreML::default().build()],
        DeviceSpec::OpenVino => vec![ep::OpenVINO::default().build()],
    };
    chain.push(cpu());
    chain
}

/// CUDA. Convolution algorithms are chosen by rule: by measuring, as is its default, two workers could choose
/// differently and round differently, and each new tile size would be measured again.
fn cuda(card: u32) -> ExecutionProviderDispatch {
    ep::CUDA::default()
        .with_device_id(number(card))
        .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
        .build()
}

/// The processor, which also runs what a card's driver leaves over (shapes, mostly). Without its arena: see
/// [`super::session`].
fn cpu() -> ExecutionProviderDispatch {
    ep::CPU::default().with_arena_allocator(false).build()
}

fn has<P: ExecutionProvider>() -> bool {
    P::is_available().unwrap_or(false)
}

/// A driver's name, and whether this library has it.
fn named<P: ExecutionProvider>() -> (&'static str, bool) {
    (P::NAME, has::<P>())
}

fn offered() -> Vec<&'static str> {
    let all = [
        named::<ep::CUDA>(),
        named::<ep::TensorRT>(),
        named::<ep::ROCm>(),
        named::<ep::MIGraphX>(),
        named::<ep::DirectML>(),
        named::<ep::CoreML>(),
        named::<ep::OpenVINO>(),
        named::<ep::CPU>(),
    ];
    all.into_iter().filter(|(_, present)| *present).map(|(name, _)| name).collect()
}

fn number(card: u32) -> i32 {
    i32::try_from(card).expect("a card's number is at most 255")
}
