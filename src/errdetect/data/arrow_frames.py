"""Rows that workers exchange: Arrow tables with each row's position in its source, and frames made of them."""

import numpy as np
import pandas as pd
import pyarrow as pa

__all__ = ["POSITION", "to_frame"]

#: The column with each row's position in the order of one machine (file, then row).
#: Below 0 where a row holds facts of a part.
POSITION = "_position"


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Convert to a frame with columns as one machine has them; whole numbers stay whole, with gaps too.

    Examples
    --------
    >>> to_frame(pa.table({"n": pa.array([1, None], pa.int64())})).dtypes.astype(str).tolist()
    ['Int64']
    """
    frame: pd.DataFrame = table.to_pandas()
    for name in table.column_names:
        if pa.types.is_integer(table.schema.field(name).type) and table[name].null_count:
            column = table[name].combine_chunks()
            missing = np.asarray(column.is_null().to_numpy(zero_copy_only=False), bool)
            numbers = column.fill_null(0).to_numpy()
            frame[name] = pd.arrays.IntegerArray(np.array(numbers, np.int64), missing)
    return frame
