//! What templates make of values, and what they refuse.

use proptest::prelude::*;

use super::*;

fn record(name: &str, content: &str) -> TemplateRecord {
    TemplateRecord { name: name.into(), record_type: "TXT".into(), content: content.into(), ttl: None }
}

fn variable(name: &str, default: Option<&str>) -> TemplateVariable {
    let default = default.map(str::to_owned);
    TemplateVariable { name: name.into(), description: String::new(), required: default.is_none(), default }
}

fn template(records: Vec<TemplateRecord>, variables: Vec<TemplateVariable>) -> Template {
    Template { records, variables }
}

fn built_ins() -> BuiltIns {
    let nameservers = vec!["ns1.platform.test".into(), "ns2.platform.test".into()];
    BuiltIns { domain: "shop.test".into(), tenant: "northwind".into(), default_ttl: 600, nameservers }
}

fn given(values: &[(&str, &str)]) -> Values {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn values_defaults_and_what_is_built_in_come_in_their_places() {
    let records = vec![record("${host}", "${a}-${domain} ${tenant} ${default_ttl} ${ns1}/${ns2} ${mail}")];
    let variables =
        vec![variable("host", None), variable("a", Some("one")), variable("mail", Some("postmaster@${domain}"))];
    let template = template(records, variables);
    assert_eq!(template.check(2), Ok(()));
    let made = template.expand(&given(&[("host", "www")]), &built_ins()).expect("complete");
    let content = "one-shop.test northwind 600 ns1.platform.test/ns2.platform.test postmaster@shop.test";
    assert_eq!(made, [record("www", content)]);
}

#[test]
fn a_variable_that_is_required_and_has_a_default_takes_it_and_names_have_letters_of_both_cases() {
    let both = TemplateVariable { required: true, ..variable("mailHost", Some("mail")) };
    let template = template(vec![record("${mailHost}", "${IP_4}")], vec![both, variable("IP_4", None)]);
    assert_eq!(template.check(2), Ok(()));
    let made = template.expand(&given(&[("IP_4", "192.0.2.1")]), &built_ins()).expect("complete");
    assert_eq!(made, [record("mail", "192.0.2.1")]);
    let given = given(&[("IP_4", "192.0.2.1"), ("mailHost", "mx")]);
    assert_eq!(template.expand(&given, &built_ins()).expect("complete")[0].name, "mx");
}

#[test]
fn a_value_is_never_looked_through_for_placeholders() {
    let template = template(vec![record("@", "${a} $${a} $5 $")], vec![variable("a", None)]);
    assert_eq!(template.check(0), Ok(()));
    let made = template.expand(&given(&[("a", "${domain}${a}$${")]), &built_ins()).expect("complete");
    assert_eq!(made[0].content, "${domain}${a}$${ ${a} $5 $");
}

#[test]
fn what_is_no_placeholder_is_said_with_its_record_and_field() {
    for (text, wanted) in [
        ("${unknown}", "unknown placeholder ${unknown}"),
        ("${ns3}", "the platform has 2 nameservers"),
        ("${", "no } behind it"),
        ("${A}", "unknown placeholder ${A}"),
        ("${1}", "is no placeholder"),
        ("${}", "is no placeholder"),
        ("${a b}", "is no placeholder"),
    ] {
        let template = template(vec![record("@", "fine"), record(text, "x")], Vec::new());
        let Err(TemplateProblem::Records(problems)) = template.check(2) else { panic!("{text} is taken") };
        assert_eq!((problems.len(), problems[0].index, problems[0].error.field), (1, 1, "name"), "{text}");
        assert!(problems[0].error.message.contains(wanted), "{text}: {}", problems[0].error);
    }
    let of_type = TemplateRecord { record_type: "SPF".into(), ..record("@", "x") };
    let of_ttl = TemplateRecord { ttl: Some(u32::MAX), ..record("@", "x") };
    let Err(TemplateProblem::Records(problems)) = template(vec![of_type, of_ttl], Vec::new()).check(2) else {
        panic!("taken")
    };
    assert_eq!(problems.iter().map(|problem| problem.error.field).collect::<Vec<_>>(), ["type", "ttl"]);
}

#[test]
fn variables_are_named_once_and_not_as_what_is_built_in() {
    let wrong = |variables: Vec<TemplateVariable>| match template(vec![record("@", "x")], variables).check(2) {
        Err(TemplateProblem::Variables(problems)) => problems.into_iter().map(|p| (p.index, p.error.field)).collect(),
        other => panic!("{other:?}"),
    };
    let found: Vec<(usize, &str)> = wrong(vec![variable("domain", None), variable("1st", None), variable("", None)]);
    assert_eq!(found, [(0, "name"), (1, "name"), (2, "name")]);
    assert_eq!(wrong(vec![variable("a", None), variable("a", None)]), [(1, "name")]);
    assert_eq!(wrong(vec![variable("a", Some("${b}")), variable("b", None)]), [(0, "default")]);
    assert_eq!(wrong(vec![variable("a", Some("${ns2}")), variable("b", Some("${ns3}"))]), [(1, "default")]);
}

#[test]
fn values_that_are_missing_or_of_no_variable_are_all_named() {
    let template = template(vec![record("@", "${a}${b}")], vec![variable("a", None), variable("b", None)]);
    let Err(ExpansionProblem::Values(problems)) =
        template.expand(&given(&[("b", " "), ("c", "x"), ("domain", "x")]), &built_ins())
    else {
        panic!("expanded")
    };
    let found: Vec<(&str, bool)> =
        problems.iter().map(|problem| (problem.variable.as_str(), problem.is_missing)).collect();
    assert_eq!(found, [("c", false), ("domain", false), ("a", true), ("b", true)]);
}

#[test]
fn what_grows_too_large_is_refused_before_it_is_made() {
    let long = "${a}".repeat(1_000);
    let many = template(vec![record("@", &long); 500], vec![variable("a", None)]);
    assert!(matches!(many.check(0), Err(TemplateProblem::Whole(_))), "over all bounds");
    let template = template(vec![record("@", &long); 20], vec![variable("a", None)]);
    let value = "x".repeat(VALUE_OCTETS_MAX);
    let Err(ExpansionProblem::Records(problems)) = template.expand(&given(&[("a", &value)]), &built_ins()) else {
        panic!("expanded")
    };
    assert_eq!((problems.len(), problems[0].error.field), (20, "content"));
    let Err(ExpansionProblem::Values(problems)) =
        template.expand(&given(&[("a", &"x".repeat(VALUE_OCTETS_MAX + 1))]), &built_ins())
    else {
        panic!("expanded")
    };
    assert_eq!(problems[0].variable, "a");
}

proptest! {
    #[test]
    fn taking_apart_never_panics_and_loses_nothing(text in "[$\\{\\}a-z_ü ]{0,40}") {
        if let Ok(found) = pieces(&text) {
            let back: String = found
                .iter()
                .map(|piece| match piece {
                    Piece::Text("${") => "$${".to_owned(),
                    Piece::Text(text) => (*text).to_owned(),
                    Piece::Placeholder(name) => format!("${{{name}}}"),
                })
                .collect();
            prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn any_value_comes_out_as_it_went_in(value in "\\PC{0,60}") {
        let template = template(vec![record("@", "<${a}>")], vec![variable("a", Some(""))]);
        let made = template.expand(&given(&[("a", &value)]), &built_ins()).expect("complete");
        prop_assert_eq!(&made[0].content, &format!("<{value}>"));
    }
}
