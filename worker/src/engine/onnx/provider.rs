//! ONNX Runtime's drivers for devices ("execution providers"): a device in, the ones to register out.

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};

use super::super::{DeviceSpec, Error, Runtime};

/// What runs a device's networks.
pub(super) struct Provider {
    /// In order of preference; each must register, none is optional.
    pub(super) chain: Vec<ExecutionProviderDispatch>,
}

/// The drivers for a device, after checking that the library has them: ONNX Runtime itself would fall back to the
/// processor without a word.
///
/// # Errors
/// [`Error::Provider`] names what is missing and what is there.
pub(super) fn of(runtime: &Runtime, device: DeviceSpec) -> Result<Provider, Error> {
    let lacking = |provider| Error::Provider {
        device,
        provider,
        library: runtime.path().display().to_string(),
        offered: offered().join(", "),
    };
    let check = |provider: &'static str, present: bool| if present { Ok(()) } else { Err(lacking(provider)) };
    let chain = match device {
        DeviceSpec::Cpu { .. } | DeviceSpec::Simulated { .. } => vec![cpu()],
        DeviceSpec::Cuda { card } => {
            check(ep::CUDA::NAME, has::<ep::CUDA>())?;
            vec![cuda(card), cpu()]
        }
        DeviceSpec::TensorRt { card } => {
            check(ep::TensorRT::NAME, has::<ep::TensorRT>())?;
            check(ep::CUDA::NAME, has::<ep::CUDA>())?;
            vec![
                ep::TensorRT::default().with_device_id(number(card)).build(),
                cuda(card),
                cpu(),
            ]
        }
        // ROCm's own driver was replaced by MIGraphX; libraries have one or the other.
        DeviceSpec::Rocm { card } if has::<ep::ROCm>() => {
            vec![ep::ROCm::default().with_device_id(number(card)).build(), cpu()]
        }
        DeviceSpec::Rocm { card } => {
            check(ep::MIGraphX::NAME, has::<ep::MIGraphX>())?;
            vec![
                ep::MIGraphX::default().with_device_id(number(card)).build(),
                cpu(),
            ]
        }
        DeviceSpec::DirectMl { card } => {
            check(ep::DirectML::NAME, has::<ep::DirectML>())?;
            vec![
                ep::DirectML::default().with_device_id(number(card)).build(),
                cpu(),
            ]
        }
        DeviceSpec::CoreMl => {
            check(ep::CoreML::NAME, has::<ep::CoreML>())?;
            vec![ep::CoreML::default().build(), cpu()]
        }
        DeviceSpec::OpenVino => {
            check(ep::OpenVINO::NAME, has::<ep::OpenVINO>())?;
            vec![ep::OpenVINO::default().build(), cpu()]
        }
    };
    Ok(Provider {
        chain: chain
            .into_iter()
            .map(ExecutionProviderDispatch::error_on_failure)
            .collect(),
    })
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

fn offered() -> Vec<&'static str> {
    let all = [
        (ep::CUDA::NAME, has::<ep::CUDA>()),
        (ep::TensorRT::NAME, has::<ep::TensorRT>()),
        (ep::ROCm::NAME, has::<ep::ROCm>()),
        (ep::MIGraphX::NAME, has::<ep::MIGraphX>()),
        (ep::DirectML::NAME, has::<ep::DirectML>()),
        (ep::CoreML::NAME, has::<ep::CoreML>()),
        (ep::OpenVINO::NAME, has::<ep::OpenVINO>()),
        (ep::CPU::NAME, true),
    ];
    all.into_iter()
        .filter(|(_, present)| *present)
        .map(|(name, _)| name)
        .collect()
}

fn number(card: u32) -> i32 {
    i32::try_from(card).expect("a card's number is at most 255")
}
