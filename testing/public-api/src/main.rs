//! Lists the public items of a library, a line each: what its documentation shows, from the JSON that rustdoc writes with
//! `--document-hidden-items`. `.ci/public-api` holds the lines against those in `public-api.txt`.
//!
//! Rustdoc leaves an item out of that JSON where its module is hidden, though the crate's root exports it again. So the hidden
//! items are asked for, and taken out here: from what holds them, not from the index, in which exports find their items.

use std::collections::HashSet;
use std::error::Error;
use std::path::PathBuf;

use public_api::Builder;
use serde_json::{Map, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("usage: public_api FILE.json, as rustdoc writes it")?);
    let mut library: Value = serde_json::from_slice(&std::fs::read(&path)?)?;

    let index = library["index"].as_object_mut().ok_or("no index: not what rustdoc writes")?;
    let hidden = ids(index, |item| {
        let attributes = item["attrs"].as_array();
        attributes
            .is_some_and(|all| all.iter().any(|one| one["other"].as_str().is_some_and(|text| text.contains("hidden"))))
    });
    // Of those, what is exported nowhere else keeps its own path: `impl From<Shown> for hidden::Type`.
    let modules = index.values().filter(|item| !item["inner"]["module"].is_null() && hidden.contains(&id(item)));
    let modules: Vec<String> =
        modules.map(|module| format!("::{}::", module["name"].as_str().unwrap_or_default())).collect();
    let functions = ids(index, |item| !item["inner"]["function"].is_null());
    for item in index.values_mut() {
        take_out(&mut item["inner"], &hidden);
        // That a type is `Clone` is worth a line; the trait says what follows from it.
        if !item["inner"]["impl"]["trait"].is_null() {
            take_out(&mut item["inner"]["impl"]["items"], &functions);
        }
    }

    let shown = path.with_extension("shown.json");
    std::fs::write(&shown, serde_json::to_vec(&library)?)?;
    let api = Builder::from_rustdoc_json(&shown).omit_blanket_impls(true).omit_auto_trait_impls(true).build()?;
    for item in api.items().map(ToString::to_string) {
        let of = item.strip_prefix("impl").and_then(|block| block.rsplit_once(" for "));
        if !of.is_some_and(|(_, kind)| modules.iter().any(|module| kind.contains(module))) {
            println!("{item}");
        }
    }
    Ok(())
}

fn ids(index: &Map<String, Value>, which: impl Fn(&Value) -> bool) -> HashSet<u64> {
    index.values().filter(|item| which(item)).map(id).collect()
}

fn id(item: &Value) -> u64 {
    item["id"].as_u64().expect("rustdoc numbers every item")
}

/// Takes items out of every list of what another consists of: a module's, a type's, a block's.
fn take_out(inner: &mut Value, which: &HashSet<u64>) {
    match inner {
        Value::Array(list) => {
            list.retain(|one| !one.as_u64().is_some_and(|id| which.contains(&id)));
            list.iter_mut().for_each(|one| take_out(one, which));
        }
        Value::Object(fields) => fields.values_mut().for_each(|field| take_out(field, which)),
        _ => {}
    }
}
