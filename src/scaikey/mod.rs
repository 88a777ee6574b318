//! scaikey
