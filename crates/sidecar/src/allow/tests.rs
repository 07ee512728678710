use super::*;

fn list(rules: &[&str]) -> AllowList {
    let mut all = Rules::none();
    for rule in rules {
        all.add(rule).unwrap();
    }
    AllowList::new(all)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn without_rules_loopback_and_private_ranges_are_allowed() {
    let list = AllowList::new(Rules::private());
    for good in ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.7.7", "::1", "fd12::1", "::ffff:10.0.0.1"] {
        assert_eq!(list.address(ip(good)), Ok(()), "{good}");
    }
    for bad in ["8.8.8.8", "172.32.0.1", "0.0.0.0", "::", "2001:db8::1", "100.64.0.1", "::ffff:8.8.8.8"] {
        assert_eq!(list.address(ip(bad)), Err(Refusal::NotAllowed), "{bad}");
    }
}

#[test]
fn link_local_is_refused_whatever_the_rules_say_and_however_it_is_spelt() {
    let list = list(&["0.0.0.0/0", "::/0", "169.254.169.254", "metadata.internal"]);
    let spellings =
        ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "febf::1"];
    for bad in spellings {
        assert_eq!(list.address(ip(bad)), Err(Refusal::LinkLocal), "{bad}");
        assert_eq!(list.resolved("metadata.internal", &[ip(bad)]), Err(Refusal::LinkLocal), "{bad}");
        assert_eq!(list.resolved("metadata.internal", &[ip("10.0.0.1"), ip(bad)]), Err(Refusal::LinkLocal));
    }
}

#[test]
fn a_name_is_allowed_by_itself_or_by_what_it_resolves_to() {
    let list = list(&["prefill-0.pool", "10.0.0.0/8"]);
    assert_eq!(list.resolved("Prefill-0.Pool.", &[ip("192.0.2.7")]), Ok(ip("192.0.2.7")));
    assert_eq!(list.resolved("other", &[ip("192.0.2.7"), ip("10.9.9.9")]), Ok(ip("10.9.9.9")));
    assert_eq!(list.resolved("other", &[ip("192.0.2.7")]), Err(Refusal::NotAllowed));
    assert_eq!(list.resolved("other", &[]), Err(Refusal::Unresolved));
}

#[test]
fn pods_come_and_go() {
    let list = list(&[]);
    let pods = Pods { addresses: HashSet::from([ip("192.0.2.1")]), names: HashSet::from(["pod-a".to_owned()]) };
    list.set_pods(pods);
    assert_eq!(list.address(ip("192.0.2.1")), Ok(()));
    assert_eq!(list.resolved("pod-a", &[ip("192.0.2.9")]), Ok(ip("192.0.2.9")));
    list.set_pods(Pods::default());
    assert_eq!(list.address(ip("192.0.2.1")), Err(Refusal::NotAllowed));
}

#[test]
fn rules_that_are_nothing_are_told() {
    let mut rules = Rules::none();
    for bad in ["", "http://x", "10.0.0.0/33", "a b"] {
        assert!(rules.add(bad).is_err(), "{bad:?}");
    }
}
