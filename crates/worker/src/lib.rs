//! Serves models and signs a receipt for every answer.
