//! `region` and `nation`: constants of TPC-H, the same at every scale.
//!
//! Their thirty comments are cut from the generator's pool of text, which takes a second and 300 MiB to build. The first
//! query of a newcomer reads these tables, so they are written down; a test compares them with the generator.

use arrow::array::{Int64Array, RecordBatch, StringViewArray};
use arrow::error::ArrowError;
use std::sync::Arc;
use tpchgen_arrow::{NationArrow, RegionArrow};

/// `region` as one batch.
pub(super) fn region() -> Result<RecordBatch, ArrowError> {
    let keys = Int64Array::from_iter_values(0..REGIONS.len() as i64);
    let names = StringViewArray::from_iter_values(REGIONS.iter().map(|(name, _)| name));
    let comments = StringViewArray::from_iter_values(REGIONS.iter().map(|(_, comment)| comment));
    RecordBatch::try_new(RegionArrow::schema_ref(), vec![Arc::new(keys), Arc::new(names), Arc::new(comments)])
}

/// `nation` as one batch.
pub(super) fn nation() -> Result<RecordBatch, ArrowError> {
    let keys = Int64Array::from_iter_values(0..NATIONS.len() as i64);
    let names = StringViewArray::from_iter_values(NATIONS.iter().map(|(name, _, _)| name));
    let regions = Int64Array::from_iter_values(NATIONS.iter().map(|(_, region, _)| *region));
    let comments = StringViewArray::from_iter_values(NATIONS.iter().map(|(_, _, comment)| comment));
    RecordBatch::try_new(
        NationArrow::schema_ref(),
        vec![Arc::new(keys), Arc::new(names), Arc::new(regions), Arc::new(comments)],
    )
}

/// Name and comment, by key.
#[rustfmt::skip]
const REGIONS: [(&str, &str); 5] = [
    ("AFRICA", "lar deposits. blithely final packages cajole. regular waters are final requests. regular accounts are according to "),
    ("AMERICA", "hs use ironic, even requests. s"),
    ("ASIA", "ges. thinly even pinto beans ca"),
    ("EUROPE", "ly final courts cajole furiously final excuse"),
    ("MIDDLE EAST", "uickly special accounts cajole carefully blithely close requests. carefully final asymptotes haggle furiousl"),
];

/// Name, key of the region, comment, by key.
#[rustfmt::skip]
const NATIONS: [(&str, i64, &str); 25] = [
    ("ALGERIA", 0, " haggle. carefully final deposits detect slyly agai"),
    ("ARGENTINA", 1, "al foxes promise slyly according to the regular accounts. bold requests alon"),
    ("BRAZIL", 1, "y alongside of the pending deposits. carefully special packages are about the ironic forges. slyly special "),
    ("CANADA", 1, "eas hang ironic, silent packages. slyly regular packages are furiously over the tithes. fluffily bold"),
    ("EGYPT", 4, "y above the carefully unusual theodolites. final dugouts are quickly across the furiously regular d"),
    ("ETHIOPIA", 0, "ven packages wake quickly. regu"),
    ("FRANCE", 3, "refully final requests. regular, ironi"),
    ("GERMANY", 3, "l platelets. regular accounts x-ray: unusual, regular acco"),
    ("INDIA", 2, "ss excuses cajole slyly across the packages. deposits print aroun"),
    ("INDONESIA", 2, " slyly express asymptotes. regular deposits haggle slyly. carefully ironic hockey players sleep blithely. carefull"),
    ("IRAN", 4, "efully alongside of the slyly final dependencies. "),
    ("IRAQ", 4, "nic deposits boost atop the quickly final requests? quickly regula"),
    ("JAPAN", 2, "ously. final, express gifts cajole a"),
    ("JORDAN", 4, "ic deposits are blithely about the carefully regular pa"),
    ("KENYA", 0, " pending excuses haggle furiously deposits. pending, express pinto beans wake fluffily past t"),
    ("MOROCCO", 0, "rns. blithely bold courts among the closely regular packages use furiously bold platelets?"),
    ("MOZAMBIQUE", 0, "s. ironic, unusual asymptotes wake blithely r"),
    ("PERU", 1, "platelets. blithely pending dependencies use fluffily across the even pinto beans. carefully silent accoun"),
    ("CHINA", 2, "c dependencies. furiously express notornis sleep slyly regular accounts. ideas sleep. depos"),
    ("ROMANIA", 3, "ular asymptotes are about the furious multipliers. express dependencies nag above the ironically ironic account"),
    ("SAUDI ARABIA", 4, "ts. silent requests haggle. closely express packages sleep across the blithely"),
    ("VIETNAM", 2, "hely enticingly express accounts. even, final "),
    ("RUSSIA", 3, " requests against the platelets use never according to the quickly regular pint"),
    ("UNITED KINGDOM", 3, "eans boost carefully special requests. accounts are. carefull"),
    ("UNITED STATES", 1, "y final packages. slow foxes cajole quickly. quickly silent platelets breach ironic accounts. unusual pinto be"),
];
