//! Huge pages for the frame pool, which is shared memory (a memfd).

use super::finding::Finding;
use super::machine::Machine;

const ID: &str = "huge-pages";
const DIRECTORY: &str = "/sys/kernel/mm/transparent_hugepage";

pub(super) fn finding(machine: &Machine) -> Finding {
    match policy(machine) {
        Ok((file, policy)) => judge(&file, &policy),
        Err(why) => Finding::unknown(ID, why),
    }
}

/// The file that decides over shared memory, and the word in brackets in it.
fn policy(machine: &Machine) -> Result<(String, String), String> {
    let overall = format!("{DIRECTORY}/shmem_enabled");
    // Since Linux 6.11 there is a policy for each size, which may leave the matter to the one for all.
    let of_size = machine.number::<u64>(&format!("{DIRECTORY}/hpage_pmd_size")).ok().and_then(|bytes| {
        let file = format!("{DIRECTORY}/hugepages-{}kB/shmem_enabled", bytes >> 10);
        let policy = chosen(&machine.read(&file).ok()?)?;
        (policy != "inherit").then_some((file, policy))
    });
    if let Some(found) = of_size {
        return Ok(found);
    }
    let text = machine.read(&overall)?;
    let policy =
        chosen(&text).ok_or_else(|| format!("{overall} says '{}', no word in brackets", text.escape_debug()))?;
    Ok((overall, policy))
}

fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

/// The pool advises the kernel to use huge pages; most policies heed that.
fn judge(file: &str, policy: &str) -> Finding {
    let seen = format!("Shared memory gets transparent huge pages by the policy '{policy}'.");
    match policy {
        "always" | "within_size" | "advise" | "force" => Finding::fine(ID, seen),
        "never" | "deny" => Finding::advice(
            ID,
            seen,
            "The frame pool consists of small pages: copying frames costs some percent more CPU for TLB misses.",
        )
        .sysfs(file, "advise"),
        _ => Finding::unknown(ID, format!("{file} has the policy '{}', which is none known.", policy.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;
    use crate::doctor::machine::made_up::machine;

    const OVERALL: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

    #[test]
    fn never_is_slower_and_the_command_allows_what_the_pool_asks_for() {
        let (_root, machine) = machine(&[(OVERALL, "always within_size advise [never] deny force\n")]);
        let finding = finding(&machine);
        assert_eq!(finding.state, State::Advice);
        assert_eq!(finding.mend.unwrap(), format!("echo advise | sudo tee {OVERALL}"));
        assert!(finding.keep.unwrap().contains("/etc/tmpfiles.d/framewire.conf"));
    }

    #[test]
    fn what_heeds_the_pools_advice_is_fine() {
        for policy in ["always", "within_size", "advise", "force"] {
            assert_eq!(judge(OVERALL, policy).state, State::Fine);
        }
    }

    #[test]
    fn the_policy_for_the_size_wins_unless_it_inherits() {
        let size = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size";
        let own = "/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/shmem_enabled";
        let files = |policy| [(OVERALL, "[always] advise never"), (size, "2097152\n"), (own, policy)];
        let (_root, never) = machine(&files("always inherit within_size advise [never]"));
        assert!(finding(&never).mend.unwrap().ends_with(own));
        let (_root, inherits) = machine(&files("always [inherit] within_size advise never"));
        assert_eq!(finding(&inherits).state, State::Fine);
    }

    #[test]
    fn a_kernel_without_them_or_with_a_new_word_is_unknown() {
        let (_root, none) = machine(&[]);
        assert_eq!(finding(&none).state, State::Unknown);
        let (_root, new) = machine(&[(OVERALL, "[sometimes]")]);
        assert!(finding(&new).seen.contains("'sometimes'"));
        let (_root, odd) = machine(&[(OVERALL, "advise")]);
        assert_eq!(finding(&odd).state, State::Unknown);
    }
}
