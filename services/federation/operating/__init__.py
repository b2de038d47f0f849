"""What operators of a bridge ask and do: its state, stuck transfers, quarantine, differences, evidence."""
