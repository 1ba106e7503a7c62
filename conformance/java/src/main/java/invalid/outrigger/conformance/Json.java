package invalid.outrigger.conformance;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import org.apache.apisix.plugin.runner.HttpResponse;

/** Configurations in, answers out. */
public final class Json {
  private static final Gson GSON =
      new GsonBuilder().serializeNulls().disableHtmlEscaping().create();

  private Json() {}

  /** Reads a plugin's configuration; an empty one is all defaults. */
  public static <C> C parse(String text, Class<C> type) {
    return GSON.fromJson(text == null || text.isEmpty() ? "{}" : text, type);
  }

  /** Stops the request and answers it with {@code value} as JSON. */
  public static void tell(HttpResponse response, Object value) {
    response.setStatusCode(200);
    response.setHeader("Content-Type", "application/json");
    response.setBody(GSON.toJson(value));
  }
}
