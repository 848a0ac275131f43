//! Threads on which a system call fails, as in a container whose filter does not let it through, or on a kernel that does not have it.

use libc::{c_long, c_ulong, sock_filter, sock_fprog};

/// A call that fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Denied {
    pub(crate) call: c_long,
    /// Where not every such call fails: which argument, from 0, and what the bits of this mask are then.
    pub(crate) only: Option<(u32, u32, u32)>,
    pub(crate) errno: i32,
}

impl Denied {
    /// Every such call.
    pub(crate) const fn all(call: c_long, errno: i32) -> Self {
        Self { call, only: None, errno }
    }
}

/// Runs something on a thread on which, and on whose descendants, a call fails.
pub(crate) fn where_denied<T: Send + 'static>(denied: Denied, run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        deny(denied);
        run()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn deny(Denied { call, only, errno }: Denied) {
    let step = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let load = |offset| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let unless = |value, skipped| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, skipped, value);
    let fail = step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32);
    let allow = step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW);
    // The number of the call is the first field of what a filter looks at; the arguments, of 64 bits each, follow after 16 bytes.
    let mut steps = match only {
        None => vec![load(0), unless(call as u32, 1), fail, allow],
        Some((argument, mask, value)) => vec![
            load(0),
            unless(call as u32, 4),
            load(16 + 8 * argument),
            step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, mask),
            unless(value, 1),
            fail,
            allow,
        ],
    };
    let program = sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    let (on, none): (c_ulong, c_ulong) = (1, 0);
    // SAFETY: prctl(option, on, unused) names no memory.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, none, none, none) }, 0);
    let mode = c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: prctl(option, mode, program: lives over the call, as do the steps it points to).
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) }, 0);
}
