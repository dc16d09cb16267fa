"""How a listing becomes numbers and pixels: partitions, rows, fetching, decoding, the tf.data chain."""
