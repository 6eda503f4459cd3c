//! HTTP of certifications.

use super::types::{Certification, CertificationFields, CertificationQuery};

crate::talent::parts::routes::part_routes!(
    owned
    Certification,
    CertificationFields,
    CertificationQuery,
    "certifications",
    "/talents/{id}/certifications",
    "/talents/{id}/certifications/{part}"
);
