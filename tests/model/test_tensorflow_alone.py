"""Scoring starts without Keras, and takes nothing from whoever wants it afterwards. Each in a process of its own."""

import subprocess
import sys

LOAD = """
import sys
from scorer.model.tensorflow_alone import tensorflow_alone
with tensorflow_alone():
    import scorer.run.retries, scorer.run.worker
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_scores_loads_tensorflow_and_none_of_what_it_does_not_use() -> None:
    found = run(
        LOAD + "print([name for name in ('tensorflow', 'keras', 'h5py', 'scipy', 'sklearn') if name in sys.modules])"
    )
    assert found == "['tensorflow']"


def test_keras_can_be_imported_and_used_afterwards() -> None:
    code = """
import keras, numpy, scipy.sparse, h5py, tensorflow as tf
assert tf.keras.Model is not None
model = keras.Sequential([keras.Input([3]), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(numpy.ones([4, 3]), numpy.ones([4, 1]), verbose=0)
print(model.predict(numpy.ones([2, 3]), verbose=0).shape, "adam" in keras.optimizers.Adam().name)
"""
    assert run(LOAD + code) == "(2, 1) True"


def test_a_process_that_has_keras_keeps_it() -> None:
    assert run("import keras\n" + LOAD + "import keras.src\nprint(keras is sys.modules['keras'])") == "True"


def test_other_threads_import_what_they_like_meanwhile() -> None:
    code = """
import importlib.util, threading
from scorer.model.tensorflow_alone import tensorflow_alone
with tensorflow_alone():
    thread = threading.Thread(target=lambda: print(importlib.util.find_spec("scipy") is not None))
    thread.start()
    thread.join()
"""
    assert run(code) == "True"
