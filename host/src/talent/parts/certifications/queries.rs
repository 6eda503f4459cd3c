//! SQL of certifications.

use super::types::CertificationFields;

crate::talent::parts::queries::part_statements!(
    "talent_certifications", "certification_id", unique "certification_id",
    CertificationFields {
        name = "$5",
        issuer = "$6",
        credential_id = "$7",
        credential_url = "$8",
        issue_date = "$9",
        expiry_date = "$10",
    }
);
