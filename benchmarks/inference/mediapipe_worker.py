"""MediaPipe's face mesh on crops, for `benchmarks.inference.peers`, in a Python that has it.

The file of crops holds crop_0, crop_1, ... uint8 [H, W, 3] RGB, and `rounds`; the one of what is
found gets `points` [N, 468, 2] in pixels of the crops (NaN where no face is found), `seconds`
and `cpu_seconds` [rounds, N] of a call each, by the clock and of all threads, `sizes`, the bytes of
the models, and `version`.

Needs numpy and mediapipe alone. The pipeline finds the face itself: its time has that of a small
detector. The models are inside the wheels up to 0.10.21.
"""

import time
from pathlib import Path

import numpy as np

__all__ = ["measure"]

POINTS = 468
MODELS = (
    "modules/face_landmark/face_landmark.tflite",
    "modules/face_detection/face_detection_short_range.tflite",
)


def measure(crops: str, found: str) -> None:
    """From the file `crops` to the file `found`."""
    import mediapipe

    folder = Path(mediapipe.__file__).parent
    sizes = [(folder / name).stat().st_size for name in MODELS]
    with np.load(crops) as archive:
        rounds = int(archive["rounds"])
        images = [archive[f"crop_{number}"] for number in range(len(archive.files) - 1)]
    points = np.full((len(images), POINTS, 2), np.nan)
    seconds, cpu_seconds = np.empty((2, rounds, len(images)))
    with mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1) as mesh:
        mesh.process(images[0])
        for turn in range(rounds):
            for number, image in enumerate(images):
                start, cpu_start = time.perf_counter(), time.process_time()
                faces = mesh.process(image).multi_face_landmarks
                cpu_seconds[turn, number] = time.process_time() - cpu_start
                seconds[turn, number] = time.perf_counter() - start
                if faces:
                    height, width = image.shape[:2]
                    marks = faces[0].landmark[:POINTS]
                    points[number] = [(mark.x * width, mark.y * height) for mark in marks]
    np.savez(
        found,
        points=points,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        sizes=sizes,
        version=mediapipe.__version__,
    )
