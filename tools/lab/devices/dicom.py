"""DICOM (PS3.7, PS3.8), by pynetdicom: an archive that stores, and modalities that send it images."""

from random import Random
from typing import Any

from tools.lab.devices.service import wait

#: The SOP classes of PS3.4 that are spoken.
VERIFICATION, SECONDARY_CAPTURE = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.7"


def archive(settings: dict[str, Any], address: str, random: Random) -> None:
    """Accept every image and forget it."""
    from pynetdicom import AE, evt

    entity = AE(settings["title"])
    entity.maximum_associations = 50
    entity.add_supported_context(VERIFICATION)
    entity.add_supported_context(SECONDARY_CAPTURE)
    entity.start_server((address, settings["port"]), evt_handlers=[(evt.EVT_C_STORE, lambda event: 0x0000)])


def modality(settings: dict[str, Any], address: str, random: Random) -> None:
    """Send images to the archive, some after asking whether it is there."""
    from pydicom.uid import ExplicitVRLittleEndian
    from pynetdicom import AE

    entity = AE(settings["name"])
    entity.add_requested_context(SECONDARY_CAPTURE, ExplicitVRLittleEndian)
    entity.add_requested_context(VERIFICATION)
    while True:
        association = entity.associate(settings["server"], settings["port"], ae_title=settings["title"])
        if not association.is_established:
            raise ConnectionError("the archive is away")
        try:
            if settings["echoes"]:
                association.send_c_echo()
            for _ in range(settings["images"]):
                association.send_c_store(_image(settings["size"], random))
        except RuntimeError as error:  # how pynetdicom says that the association has ended
            raise ConnectionError(str(error)) from None
        association.release()
        wait(settings, random)


def _image(size: int, random: Random) -> Any:
    """An image of noise, of nobody."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = UID(SECONDARY_CAPTURE)
    image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID = (generate_uid() for _ in range(3))
    image.PatientName, image.PatientID, image.Modality = "Test^Laboratory", str(random.randrange(10**6)), "OT"
    image.Rows = image.Columns = size
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit = 7
    image.PixelData = random.randbytes(size * size)
    return image
