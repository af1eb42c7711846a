//! One frame in, one verdict out.

/// `option unknown_unicast`: what happens to a frame whose destination has no known owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UnknownUnicast {
    /// Flooded at a bounded rate.
    #[default]
    Limited,
    Drop,
    Flood,
}
