"""Why a decision may be wrong: contributions, reasons, the nearest correct decision."""
