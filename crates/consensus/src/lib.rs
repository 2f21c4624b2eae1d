//! Agreement on an order of blocks, and one threshold signature over each epoch.
