//! Gives the shared library the name that programs ask the loader for.

/// Rises with every change that breaks a program that was linked before.
const ABI: u32 = 0;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libframewire.so.{ABI}");
    }
}
