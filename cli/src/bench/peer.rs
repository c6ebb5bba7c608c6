//! Another program beside ours: a command that measures both in, how many times as fast ours is out.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

/// Runs the command with the program's path behind it, and reads the last line of its output that says "ratio 1.7".
///
/// # Errors
/// It cannot be started, fails, or prints no ratio.
pub(crate) fn ratio(command: &str, executable: &Path) -> Result<f64> {
    let mut shell = Command::new("sh");
    let ended = shell.arg("-c").arg(format!("{command} \"$0\"")).arg(executable).output();
    let ended = ended.with_context(|| format!("cannot run --peer {command:?}"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "--peer {command:?} failed: {}", said.trim());
    read(&String::from_utf8_lossy(&ended.stdout))
        .with_context(|| format!("--peer {command:?} printed no line as \"ratio 1.7\""))
}

fn read(text: &str) -> Option<f64> {
    let mut ratios =
        text.lines().filter_map(|line| line.strip_prefix("ratio ")?.split(' ').next()?.parse().ok());
    ratios.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ratio_of_a_command_counts() {
        let program = Path::new("/a program");
        let said = ratio("printf 'ratio 1.5\\nratio 1.7 (%s)\\nbye\\n'", program).unwrap();
        assert!((said - 1.7).abs() < 1e-12, "{said}");
        assert!((ratio("test '/a program' = ", program).err()).is_some(), "no ratio");
        let failed = ratio("echo out of luck >&2; false", program).unwrap_err();
        assert!(format!("{failed:#}").ends_with("failed: out of luck"), "{failed:#}");
    }
}
