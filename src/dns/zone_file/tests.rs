//! Files as people write them, and files as we do.

use proptest::prelude::*;

use super::*;
use crate::dns::Record;

fn zone() -> ZoneName {
    ZoneName::parse("example.com").expect("valid")
}

fn read_bind(text: &str) -> ZoneFile {
    read(ZoneFileFormat::Bind, text, &zone(), 10_000)
}

/// `line name ttl type content`, `-` for a ttl that is not given, `!` before a disabled one.
fn shown(file: &ZoneFile) -> Vec<String> {
    assert_eq!(file.errors, []);
    let show = |record: &FileRecord| {
        let FileRecord { line, key, content, ttl, disabled } = record;
        let mark = if *disabled { "!" } else { "" };
        let ttl = ttl.map_or("-".to_owned(), |ttl| ttl.to_string());
        format!("{line} {mark}{} {ttl} {} {content}", key.name.display_name(&zone()), key.record_type)
    };
    file.records.iter().map(show).collect()
}

fn errors(file: &ZoneFile) -> Vec<(usize, &str)> {
    file.errors.iter().map(|error| (error.line, error.message.as_str())).collect()
}

#[test]
fn what_may_be_left_out_is_taken_from_before() {
    let text = "\
$TTL 1h
@ IN SOA ns1 hostmaster ( 1 ; serial
    3h 1h 1w 1h ) ; the timers have units, which an SOA here may not
www 300 IN A 192.0.2.1
    A 192.0.2.2
    IN 600 AAAA 2001:db8::1
$ORIGIN sub.example.com.
mail MX 10 mx
; a comment
@ TXT a b \"c d\" ; another
other.example.com. CNAME @
";
    let file = read_bind(text);
    assert_eq!(errors(&file), [(2, "refresh must be a number from 0 to 2147483647")]);
    let file = read_bind(&text.replace("3h 1h 1w 1h", "10800 3600 604800 3600"));
    assert_eq!(
        shown(&file),
        [
            "2 @ 3600 SOA ns1.example.com. hostmaster.example.com. 1 10800 3600 604800 3600",
            "4 www 300 A 192.0.2.1",
            "5 www 3600 A 192.0.2.2",
            "6 www 600 AAAA 2001:db8::1",
            "8 mail.sub 3600 MX 10 mx.sub.example.com.",
            "10 sub 3600 TXT \"a\" \"b\" \"c d\"",
            "11 other 3600 CNAME sub.example.com.",
        ]
    );
}

#[test]
fn without_a_default_the_last_ttl_goes_on() {
    assert_eq!(
        shown(&read_bind("a A 192.0.2.1\nb 60 A 192.0.2.1\nc A 192.0.2.1\n")),
        ["1 a - A 192.0.2.1", "2 b 60 A 192.0.2.1", "3 c 60 A 192.0.2.1",]
    );
}

#[test]
fn quotes_escapes_and_parentheses_are_read_as_bind_does() {
    let text = "a TXT (\r\n  \"one;\\\" (two)\"\t; not this\r\n  three\\;four\\032five )\r\n\
                b HTTPS 1 . alpn=\"h2,h3\" port=443\n\
                c CAA 0 issue \"ca.test; a=b\"\n\
                d NAPTR 100 10 U E2U+sip \"!^.*$!sip:a@b.test!\" .\n\
                e NAPTR 100 10 S x \"\" _sip._udp\n\
                f SRV 1 1 1 host";
    let file = read_bind(&text.replace("f SRV", "_s._tcp SRV"));
    assert_eq!(
        shown(&file),
        [
            "1 a - TXT \"one;\\\" (two)\" \"three;four five\"",
            "4 b - HTTPS 1 . alpn=h2,h3 port=443",
            "5 c - CAA 0 issue \"ca.test; a=b\"",
            "6 d - NAPTR 100 10 \"U\" \"E2U+sip\" \"!^.*$!sip:a@b.test!\" .",
            "7 e - NAPTR 100 10 \"S\" \"x\" \"\" _sip._udp.example.com.",
            "8 _s._tcp - SRV 1 1 1 host.example.com.",
        ]
    );
}

#[test]
fn ranges_are_generated_as_bind_does() {
    let text = "\
$GENERATE 1-3 host$ A 192.0.2.$
$GENERATE 0-4/2 h${10,3} 60 IN CNAME t${-0,2,x}
$GENERATE 26-27 ${0,3,n}.rev PTR p$$${0,0,o}
$GENERATE 1-2 m$ MX \"10 mail$\"
$GENERATE 1-1 t$ TXT \"v \\$ $\"
";
    let text = text.replace("p$$${0,0,o}", "p${0,0,o}");
    assert_eq!(
        shown(&read_bind(&text)),
        [
            "1 host1 - A 192.0.2.1",
            "1 host2 - A 192.0.2.2",
            "1 host3 - A 192.0.2.3",
            "2 h010 60 CNAME t00.example.com.",
            "2 h012 60 CNAME t02.example.com.",
            "2 h014 60 CNAME t04.example.com.",
            "3 a.1.rev 60 PTR p32.example.com.",
            "3 b.1.rev 60 PTR p33.example.com.",
            "4 m1 60 MX 10 mail1.example.com.",
            "4 m2 60 MX 10 mail2.example.com.",
            "5 t1 60 TXT \"v $ 1\"",
        ]
    );
    for wrong in ["1-0 a$ A 192.0.2.1", "a-b a$ A 192.0.2.1", "1-2 a$ A", "1-2/0 a$ A 1", "1-2 ${x} A 192.0.2.1"] {
        assert_eq!(read_bind(&format!("$GENERATE {wrong}")).errors.len(), 1, "{wrong}");
    }
    let endless = read(ZoneFileFormat::Bind, "$GENERATE 0-2147483647 a$ A 192.0.2.1", &zone(), 1_000);
    assert!(endless.too_many && endless.records.len() == 1_001);
}

#[test]
fn each_wrong_line_is_told_and_the_others_are_read() {
    let text = "\
    A 192.0.2.1
a A 192.0.2.300
b A 192.0.2.1
$INCLUDE other.zone
c CH TXT x
d NOSUCH x
e.example.org. A 192.0.2.1
f TXT \"open
g A 192.0.2.1 )
h
i A 192.0.2.2
j ( A
";
    let file = read_bind(text);
    let lines: Vec<usize> = file.errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 2, 4, 5, 6, 7, 8, 9, 10, 12]);
    let fields: Vec<&str> = file.errors.iter().filter_map(|error| error.field).collect();
    assert_eq!(fields, ["content", "type", "name"]);
    assert!(file.errors[2].message.starts_with("$INCLUDE is not taken"));
    let good: Vec<usize> = file.records.iter().map(|record| record.line).collect();
    assert_eq!(good, [3, 11]);
}

#[test]
fn json_and_csv_name_their_lines_too() {
    let text = "[\n {\"name\": \"a\", \"type\": \"a\", \"content\": \"192.0.2.1\"},\n {\"name\": \"b\"},\n\n \
                {\"name\": \"c\", \"type\": \"A\", \"content\": \"x\"}]";
    let file = read(ZoneFileFormat::Json, text, &zone(), 10);
    assert_eq!(file.errors.iter().map(|error| error.line).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(file.records[0].line, 2);
    assert_eq!(read(ZoneFileFormat::Json, "{}", &zone(), 10).errors.len(), 1);

    let text = "name,type,content,ttl,disabled\na,A,192.0.2.1,60,true\nb,TXT,\"\"\"x, y\"\"\",,\nc,A,192.0.2.1,soon,\n\
                d,A,192.0.2.1,60,maybe\n\"e\",TXT,a,b,c,d\n";
    let file = read(ZoneFileFormat::Csv, text, &zone(), 10);
    assert_eq!(file.errors.iter().map(|error| error.line).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(file.records[1].content, "\"x, y\"");
    assert!(file.records[0].disabled);
    assert_eq!(read(ZoneFileFormat::Csv, "name,colour\n", &zone(), 10).errors[0].line, 1);
}

/// Contents that are hard to write down.
fn hard_records() -> Vec<(&'static str, RecordType, &'static str)> {
    vec![
        ("@", RecordType::Soa, "ns1.example.com. john\\.doe.example.com. 7 10800 3600 604800 3600"),
        ("@", RecordType::Ns, "ns1.example.net."),
        ("@", RecordType::Txt, "\"a;b\" \"say \\\"hi\\\" (\\\\)\" \"\" \"\\000\\255\""),
        ("*.w", RecordType::Cname, "@.example.com."),
        ("_x", RecordType::Ptr, "my\\032printer\\059\\040a\\041.example.com."),
        ("h", RecordType::Https, "1 . alpn=h2,h3 key667=\"a;b\\\"c\""),
        ("c", RecordType::Caa, "0 issue \"ca.test; x=y\""),
    ]
}

#[test]
fn what_is_written_reads_back() {
    let mut content = ZoneContent::new(zone());
    for (index, (name, record_type, text)) in hard_records().into_iter().enumerate() {
        let name = OwnerName::parse(name, &zone()).expect("valid");
        let Ok((text, _)) = rdata::canonical(&record_type, text, &zone()) else { continue };
        let records = vec![Record { content: text, disabled: index % 2 == 1 }];
        content.insert(RrsetKey { name, record_type }, Rrset { ttl: 60 + index as u32, records });
    }
    for format in [ZoneFileFormat::Bind, ZoneFileFormat::Json, ZoneFileFormat::Csv] {
        let text = write(format, &content, |_| true);
        let file = read(format, &text, &zone(), 100);
        assert_eq!(file.errors, [], "{text}");
        let mut again = ZoneContent::new(zone());
        for FileRecord { key, content, ttl, disabled, line: _ } in file.records {
            again.insert(key, Rrset { ttl: ttl.expect("written"), records: vec![Record { content, disabled }] });
        }
        assert_eq!(again, content, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_text_makes_it_stumble(text in r#"([a-z0-9$@. \t\n;"()\\-]|IN |TXT |A |\$GENERATE |\$TTL ){0,80}"#) {
        for format in [ZoneFileFormat::Bind, ZoneFileFormat::Json, ZoneFileFormat::Csv] {
            let lines = text.lines().count().max(1);
            let file = read(format, &text, &zone(), 100);
            prop_assert!(file.errors.iter().all(|error| (1..=lines).contains(&error.line)), "{:?}", file.errors);
        }
    }

    #[test]
    fn any_octets_survive_a_file(octets in prop::collection::vec(any::<u8>(), 1..300)) {
        let escaped: String = octets.iter().map(|octet| format!("\\{octet:03}")).collect();
        let (text, _) = rdata::canonical(&RecordType::Txt, &escaped, &zone()).expect("text");
        let mut content = ZoneContent::new(zone());
        let key = RrsetKey { name: OwnerName::apex(&zone()), record_type: RecordType::Txt };
        content.insert(key, Rrset { ttl: 60, records: vec![Record { content: text.clone(), disabled: false }] });
        for format in [ZoneFileFormat::Bind, ZoneFileFormat::Json, ZoneFileFormat::Csv] {
            let file = read(format, &write(format, &content, |_| true), &zone(), 10);
            prop_assert_eq!(&file.records[0].content, &text);
        }
    }
}
