"""Training images decoded once: a pack in memory, uncompressed (`data.cache` memory)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sesame_hpc.config.schema import DataConfig
from sesame_hpc.data.annotations import Annotations
from sesame_hpc.data.pack.content import Plan, uncompressed_crop
from sesame_hpc.data.pack.images import ImagesInMemory
from sesame_hpc.data.pack.layout import StoredImage
from sesame_hpc.data.pack.settings import PackSettings, plans

__all__ = ["cached_in_memory"]


def cached_in_memory(faces: Annotations, data: DataConfig, size: int) -> Annotations:
    """The same faces with their images in memory: what training crops of `size` pixels can show.

    The faces of a pack are returned as they are. An image that cannot be read stays an error, with
    its file and line, which is raised where the image is asked for.
    """
    if faces.pack is not None:
        return faces
    planned = plans(faces, PackSettings(size=size, box=data.box, augment=data.augment))
    assert planned is not None

    def image(row: int, plan: Plan) -> StoredImage | ValueError:
        path = faces.image_path(row)
        try:
            return uncompressed_crop(path, int(faces.sample_ids[row]), plan)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            return ValueError(f"{path} ({faces.sources[row]}): {reason}")

    with ThreadPoolExecutor(data.threads) as pool:
        images = list(pool.map(image, range(len(faces)), planned))
    return replace(faces, pack=ImagesInMemory(images, faces.sample_ids, size))
