//! Templates: texts with placeholders, and what comes in their places.

use super::{Outcome, seeds_of, text};
use crate::dns::template::{BuiltIns, Template, TemplateRecord, TemplateVariable, Values};

/// A record's name, its content, the default of the variable `a` and its value, a line each.
pub fn seeds() -> Vec<Vec<u8>> {
    seeds_of([
        "${a}\n${domain} ${tenant} ${default_ttl} ${ns1}/${ns2}\nx\ny",
        "@\n$${a} $5 $ ${a}${a}\npostmaster@${domain}\n",
        "www\n${a\n${a}\n$${",
        "${ns3}\n${b}\n$$${ns1}\n${domain}",
    ])
}

pub fn run(input: &[u8]) -> Outcome {
    let input = &*text(input);
    let mut lines = input.split('\n').map(str::to_owned);
    let [name, content, default, value] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    let variable =
        TemplateVariable { name: "a".into(), description: String::new(), required: false, default: Some(default) };
    let own = TemplateRecord { name: "@".into(), record_type: "TXT".into(), content: "<${a}>".into(), ttl: None };
    let records = vec![TemplateRecord { name, content, ..own.clone() }, own];
    let template = Template { records, variables: vec![variable] };
    let nameservers = vec!["ns1.platform.test".into(), "ns2.platform.test".into()];
    let built_ins = BuiltIns { domain: "shop.test".into(), tenant: "northwind".into(), default_ttl: 600, nameservers };
    let checked = template.check(2);
    let made = [Values::from([("a".to_owned(), value.clone())]), Values::new()].map(|values| {
        let made = template.expand(&values, &built_ins);
        match (&made, values.get("a")) {
            (Ok(made), Some(value)) => assert_eq!(made[1].content, format!("<{value}>"), "as it was given"),
            (Err(problem), _) if checked.is_ok() => {
                let problem = format!("{problem:?}");
                assert!(problem.contains("longer than") || problem.contains("at most"), "it was checked: {problem}");
            }
            (Ok(_) | Err(_), _) => {}
        }
        made.map_or_else(|problem| format!("{problem:?}"), |_| "made".to_owned())
    });
    match checked {
        Ok(()) => format!("checked {made:?}"),
        Err(problem) => format!("{problem:?}"),
    }
}
