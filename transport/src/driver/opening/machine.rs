//! How much memory there is: of the machine, or of the control group that this process may not exceed.

use std::path::Path;
use std::sync::OnceLock;

/// The most that a receiver takes unless it is told otherwise, bytes: 4 GiB.
const MEMORY_BYTES_MAX: u64 = 4 << 30;
/// What is reckoned with where the system does not say how much it has, bytes: 4 GiB.
const MACHINE_BYTES_UNKNOWN: u64 = 4 << 30;

/// What all streams of a receiver may take together unless it is told otherwise: a quarter of the memory that this process may
/// have, at most 4 GiB.
pub(in crate::driver) fn default_memory_bytes() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        let bytes = (memory_bytes(read).unwrap_or(MACHINE_BYTES_UNKNOWN) / 4).min(MEMORY_BYTES_MAX);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    })
}

/// The smallest of the machine's memory and the limits of this process's control groups, bytes.
fn memory_bytes(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let group = group_bytes(&read);
    machine_bytes(&read).into_iter().chain(group).min()
}

fn machine_bytes(read: &impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let lines = read(Path::new("/proc/meminfo"))?;
    let total = lines.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The smallest limit of the control group that this process is in, and of those around it, of either version.
fn group_bytes(read: &impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    groups
        .lines()
        .filter_map(|line| {
            // number:controllers:path; version 2 has no controllers here.
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let (mounts, file): (&[&str], _) = if controllers.is_empty() {
                (&["/sys/fs/cgroup", "/sys/fs/cgroup/unified"], "memory.max")
            } else if controllers.split(',').any(|controller| controller == "memory") {
                (&["/sys/fs/cgroup/memory"], "memory.limit_in_bytes")
            } else {
                return None;
            };
            // In a container the path is often one of the host, of which only the root is to be seen.
            let ancestors = Path::new(path).ancestors().filter_map(|group| group.strip_prefix("/").ok());
            let limits =
                ancestors.flat_map(|group| mounts.iter().map(move |mount| Path::new(mount).join(group).join(file)));
            // "max" is no number: no limit.
            limits.filter_map(|file| read(&file)?.trim().parse::<u64>().ok()).min()
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       16384000 kB\nMemFree:  1 kB\n";
    const MACHINE: u64 = 16_384_000 * 1024;

    fn bytes(files: &[(&str, &str)]) -> Option<u64> {
        memory_bytes(|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_limit_of_a_control_group_of_either_version_or_of_one_around_it_counts_as_memory() {
        let v2 = ("/proc/self/cgroup", "0::/system.slice/framewire.service\n");
        let v1 = ("/proc/self/cgroup", "9:cpu:/a\n4:hugetlb,memory:/docker/f00\n0::/\n");
        let machine = ("/proc/meminfo", MEMINFO);
        assert_eq!(bytes(&[machine]), Some(MACHINE));
        assert_eq!(bytes(&[]), None);
        let own = ("/sys/fs/cgroup/system.slice/framewire.service/memory.max", "268435456\n");
        let around = ("/sys/fs/cgroup/system.slice/memory.max", "134217728\n");
        let none = ("/sys/fs/cgroup/system.slice/framewire.service/memory.max", "max\n");
        assert_eq!(bytes(&[machine, v2, own]), Some(256 << 20));
        assert_eq!(bytes(&[machine, v2, own, around]), Some(128 << 20));
        assert_eq!(bytes(&[machine, v2, none]), Some(MACHINE));
        let own = ("/sys/fs/cgroup/memory/docker/f00/memory.limit_in_bytes", "268435456\n");
        let seen_from_inside = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");
        let none = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(bytes(&[machine, v1, own]), Some(256 << 20));
        assert_eq!(bytes(&[machine, v1, seen_from_inside]), Some(128 << 20));
        assert_eq!(bytes(&[machine, v1, none]), Some(MACHINE));
    }

    #[test]
    fn the_default_is_a_quarter_of_it_and_no_more_than_4_gib() {
        let bytes = default_memory_bytes() as u64;
        assert!(bytes > 0 && bytes <= MEMORY_BYTES_MAX);
    }
}
